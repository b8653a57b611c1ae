"""Volumes through the scripts: trained whole and by crops, predicted, scored and reported."""

import csv

import numpy as np
import pytest

import test_net as testing
import train_net
from tests.small_volumes import ball
from tests.volumes import write_nifti

pytest.importorskip("monai")
pytest.importorskip("torchio")

NAMES = "abcdef"
SHAPE = (20, 24, 28)  # of the file: x, y, z
CROPS = {"INPUT.FROM": "crops", "INPUT.PATCH": [16, 16, 16], "SOLVER.SAMPLING": "posneg", "INPUT.PATCHES_PER_CASE": 2}
WHOLE = {"INPUT.FROM": "whole", "SOLVER.CACHE": "memory"}


@pytest.fixture
def task(tmp_path):
    """A task of the Decathlon: bright balls of two classes in noise."""
    for number, name in enumerate(NAMES):
        labels = np.maximum(ball(SHAPE, (8 + number % 3, 9, 12), 5), ball(SHAPE, (12, 17, 14 + number % 4), 4, 2))
        chance = np.random.default_rng(number)
        image = (300.0 * labels + chance.normal(100, 20, SHAPE)).astype(np.int16)
        for folder, values in (("imagesTr", image), ("labelsTr", labels)):
            (tmp_path / "task" / folder).mkdir(parents=True, exist_ok=True)
            write_nifti(tmp_path / "task" / folder / f"{name}.nii.gz", values, np.diag([1.0, 1.0, 1.5, 1.0]))
    return tmp_path


def words(root, run, options):
    values = {
        "DATASETS.LAYOUT": "decathlon",
        "DATASETS.WSI_FOLDER": root / "task",
        "DATASETS.CLASSES": ["one", "two"],
        "TEST.WSI_FOLDER": root / "task",
        "TILES.REDUCTION": 1.0,
        "INPUT.INTENSITY": "percentiles",
        "AUGMENTATION.SET": "light",
        "AUGMENTATION.AFFINE": 0.5,
        "AUGMENTATION.BIAS_FIELD": 0.2,
        "MODEL.ARCHITECTURE": "monai-UNet",
        "MODEL.ACTIVATION": "softmax",
        "MODEL.AXES": 3,
        "MODEL.IN_CHANNELS": 1,
        "MODEL.CHANNELS": [4, 8, 8],
        "SOLVER.LOSS_FUNCTION_NAME": "dice_ce",
        "SOLVER.EPOCHS": 2,
        "SOLVER.BATCH_SIZE": 2,
        "SOLVER.NUM_WORKERS": 0,
        "SOLVER.EMA": 0.5,
        "OUTPUT_DIR": root / "runs",
        "RUN_NAME": run,
    }
    return [str(word) for pair in (values | options).items() for word in pair]


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("options", [WHOLE, CROPS], ids=["whole", "crops"])
def test_volumes_are_trained_predicted_scored_and_reported_and_a_run_repeats(task, capsys, options):
    for run in ("first", "again"):
        assert train_net.main(words(task, run, options)) == 0
    run, again = task / "runs" / "first", task / "runs" / "again"
    weights = run / "weights" / "fold0.safetensors"
    assert weights.read_bytes() == (again / "weights" / "fold0.safetensors").read_bytes()
    assert [row["epoch"] for row in rows(run / "history.csv")] == ["1", "2"]
    held_out = [row["id"] for row in rows(run / "folds.csv") if row["fold"] == "0"]
    assert {row["id"] for row in rows(run / "scores.csv")} >= set(held_out)
    assert len(held_out) == 1
    assert all((run / name).is_file() for name in ("report.html", "history.png", "samples_fold0.png"))

    said = ["TEST.MODEL_WEIGHTS_FOLDER", str(weights.parent), "TEST.OUTPUT_DIR", str(task / "test")]
    assert testing.main([*words(task, "unused", options), *said, "TEST.SPLIT", "valid"]) == 0
    assert list((task / "test").rglob("*.nii.gz"))
    assert "failed 0 of 1 cases" in capsys.readouterr().out
