"""Each logger's output, read back with the library's own reader."""

import json
import logging
import os
import random
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from config.check import CHOICES_OF_LISTS
from utils.loggers import opening
from utils.loggers.logger import Subject
from utils.loggers.opening import LOGGERS, Loggers, check_loggers

OPTIONS = {"SEED": 42, "SOLVER.LR": 1e-3, "SOLVER.FOLDS": [0, 1], "INPUT.MEAN": [], "DATASETS.LABELS_CSV": "a,b #.csv"}
GREEN = (10, 200, 30)


@pytest.fixture
def subject(tmp_path, monkeypatch):
    """What a logger is told about, in an environment that forgets afterwards what a logger sets."""
    known = [name for kind in LOGGERS.values() for name in kind.environment]
    for name in [*known, "WANDB_CACHE_DIR", "MLFLOW_TRACKING_URI"]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run = tmp_path / "runs" / "kidney"
    run.mkdir(parents=True)
    return Subject(run, "fold0", OPTIONS)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "epoch001.png"
    cv2.imwrite(str(path), np.full((20, 30, 3), GREEN[::-1], np.uint8))
    return path


def tell(name, subject, picture):
    with Loggers([name], subject) as loggers:
        loggers.scalars(20, {"train_loss": 0.5})
        loggers.scalars(40, {"train_loss": 0.25, "valid_dice": 0.75})
        loggers.picture("samples", picture)
        assert list(loggers.loggers) == [name]


def test_tensorboard_shows_figures_pictures_and_the_config(subject, picture):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell("tensorboard", subject, picture)
    events = EventAccumulator(str(subject.run / "tensorboard" / "fold0")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [(20, 0.5), (40, 0.25)]
    assert [(event.step, event.value) for event in events.Scalars("valid_dice")] == [(40, 0.75)]
    (shown,) = events.Images("samples")
    found = cv2.imdecode(np.frombuffer(shown.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert (shown.step, found.shape) == (40, (20, 30, 3))
    assert (found == GREEN[::-1]).all()
    (text,) = events.Tensors("config/text_summary")
    assert "    SOLVER.LR: 0.001\n" in text.tensor_proto.string_val[0].decode()


def records_of(folder: Path):
    """What an offline run of W&B holds: records in parts, with 7 bytes before each, in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("offline-run-*/run-*.wandb")
    content, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if 2**15 - place % 2**15 < 7:  # no part begins so late in a block
            place += 2**15 - place % 2**15
        _, size, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def test_weights_and_biases_keeps_all_of_it_offline(subject, picture):
    tell("wandb", subject, picture)
    records = list(records_of(subject.run / "wandb"))
    (run,) = [record.run for record in records if record.HasField("run")]
    assert (run.run_group, run.display_name) == ("kidney", "kidney fold0")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert {key: config[key] for key in OPTIONS} == OPTIONS
    rows = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [row.get("train_loss") for row in rows] == [0.5, 0.25]
    assert rows[1]["valid_dice"] == 0.75
    assert rows[1]["_step"] == 40
    (shown,) = (subject.run / "wandb").glob("offline-run-*/files/media/images/samples_40_*.png")
    assert (cv2.imread(str(shown)) == GREEN[::-1]).all()
    (exit_record,) = [record.exit for record in records if record.HasField("exit")]
    assert exit_record.exit_code == 0


def test_mlflow_keeps_all_of_it_in_a_folder_beside_the_runs(subject, picture):
    tell("mlflow", subject, picture)
    from mlflow import MlflowClient

    client = MlflowClient(str(subject.run.parent / "mlflow"))
    (run,) = client.search_runs([client.get_experiment_by_name("kidney").experiment_id])
    assert (run.info.run_name, run.info.status) == ("fold0", "FINISHED")
    assert run.data.params["SOLVER.LR"] == "0.001"
    told = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train_loss")]
    assert told == [(20, 0.5), (40, 0.25)]
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id, "samples")] == ["samples/epoch001.png"]
    (config,) = (subject.run.parent / "mlflow").rglob("config.yaml")
    assert "SOLVER.LR: 0.001\n" in config.read_text()


@pytest.mark.parametrize("name", LOGGERS)
def test_a_logger_leaves_chance_as_it_was_and_writes_nowhere_else(name, subject, picture, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path / "runs")
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    tell(name, subject, picture)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"runs", "epoch001.png"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} <= {"kidney", "mlflow"}
    assert {path.name for path in subject.run.iterdir()} <= {"tensorboard", "wandb"}
    assert capfd.readouterr() == ("", "")


class Failing:
    def __init__(self, subject):
        self.closed = []

    def scalars(self, step, values):
        raise ConnectionError("the server\nis away")

    def picture(self, step, name, path):
        pytest.fail("it was left out")

    def close(self, failed):
        pytest.fail("it was left out")


class Keeping(Failing):
    def scalars(self, step, values):
        self.step = step

    def picture(self, step, name, path):
        self.path = step, path

    def close(self, failed):
        self.closed.append(failed)


@pytest.fixture
def own_loggers(monkeypatch):
    monkeypatch.setattr(opening, "_open", lambda name, subject: {"bad": Failing, "good": Keeping}[name](subject))


def test_a_logger_that_fails_is_one_line_and_the_others_go_on(own_loggers, subject, picture, caplog):
    with caplog.at_level(logging.WARNING), Loggers(["worse", "bad", "good"], subject) as loggers:
        for step in (1, 2):
            loggers.scalars(step, {"train_loss": 0.5})
        loggers.picture("samples", picture)
        good = loggers.loggers["good"]
    assert caplog.messages == [
        "worse is left out from here on: 'worse'",
        "bad is left out from here on: the server is away",
    ]
    assert (good.step, good.path, good.closed) == (2, (2, picture), [False])


def test_an_error_of_the_training_passes_and_is_told(own_loggers, subject):
    loggers = Loggers(["good"], subject)
    with pytest.raises(ZeroDivisionError), loggers:
        1 / 0  # noqa: B018
    assert loggers.loggers["good"].closed == [True]


def test_a_logger_that_is_not_installed_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "wandb")
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda name: None if name == "wandb" else name)
    check_loggers(["tensorboard"])
    with pytest.raises(ValueError, match=r"'wandb', which is not installed: pip install .*requirements-loggers.txt"):
        check_loggers(["tensorboard", "wandb"])


def test_the_choice_of_loggers_is_the_table_of_loggers():
    assert sorted(CHOICES_OF_LISTS["SOLVER.LOGGERS"]) == sorted(LOGGERS)


def test_no_logger_is_no_library(subject):
    known = set(sys.modules)
    with Loggers([], subject) as loggers:
        loggers.scalars(1, {"train_loss": 0.5})
    assert not {"wandb", "mlflow", "tensorboard"} & (set(sys.modules) - known)
    assert os.listdir(subject.run) == []
