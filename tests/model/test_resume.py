import logging
import random
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from torch import nn

from config import load_cfg
from data.patches.loader import PatchLoader
from model.callbacks import History, KeepBest, Resume
from model.callbacks.average import build_averaging
from model.callbacks.resume import capture, restore_optimiser
from model.learner import build_learner, fit
from model.training_errors import TrainingError
from model.training_state import StateError, load_state, save_state
from utils.seed import seed_everything
from utils.signals import StopRequest

EPOCHS = 4
PASS = 5 + 3  # batches of training and of validation in an epoch: 11 and 5 patches by twos, the odd one left out of 11


class Net(nn.Module):
    """An 'encoder' with statistics of its own and a head that draws."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.drop = nn.Dropout(0.3)
        self.head = nn.Conv2d(6, 1, 1)
        self.average = nn.Linear(2, 2)  # without a gradient

    def forward(self, images):
        return self.head(self.drop(self.encoder(images)))


class Patches:
    """Patches that are drawn anew from seed, epoch and place."""

    sampling = None

    def __init__(self, count, seed=3):
        self.samples = [SimpleNamespace(name=f"p{number}") for number in range(count)]
        self.seed, self.epoch = seed, 0
        self.reads = 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, place):
        self.reads += 1
        image = np.random.default_rng([self.seed, self.epoch, place]).random((3, 8, 8), np.float32)
        return torch.from_numpy(image), torch.from_numpy((image[:1] > 0.5).astype(np.uint8))


class StoppedError(Exception):
    """What ends training in these tests."""


class At(Callback):
    """Does something once, after so many batches in all, those of validation counted."""

    def __init__(self, moment, act, order=95):
        self.left, self.act, self.order = moment, act, order

    def after_batch(self):
        self.left -= 1
        random.random(), np.random.rand(), torch.rand(1)  # what others draw changes nothing
        if self.left == 0:
            self.act(self.learn)


def end(learn):
    raise StoppedError("stopped")


class Run:
    """A run in a folder that can be stopped and gone on with."""

    def __init__(self, folder, *options, workers=0, minutes=0.0):
        folder.mkdir(exist_ok=True)
        self.path = folder / "state.safetensors"
        self.options, self.workers, self.minutes = options, workers, minutes
        self.rows, self.best, self.last = [], [], []

    def go(self, *others, resume=False, data="same"):
        seed_everything(1)
        cfg = load_cfg(options=["SOLVER.EPOCHS", str(EPOCHS), "SOLVER.LR", "0.05", *self.options])
        self.train = Patches(11)
        dls = DataLoaders(
            PatchLoader(self.train, bs=2, shuffle=True, drop_last=True, num_workers=self.workers),
            PatchLoader(Patches(5, seed=4), bs=2, num_workers=self.workers),
        )
        stop = StopRequest()
        state = load_state(self.path) if resume else None
        network = Net()
        _, averaging = build_averaging(cfg, network)
        callbacks = [
            *averaging,
            History(0, self.rows, lambda: None),
            KeepBest(lambda *best: self.best.append(best), lambda *last: self.last.append(last)),
            Resume(self.path, self.minutes, data, stop, state),
            *others,
        ]
        self.learner = build_learner(dls, network, cfg, callbacks)
        with stop:
            fit(self.learner, cfg)
        return self

    def stop(self, moment):
        with pytest.raises(StoppedError):
            self.go(At(moment, end), resume=self.path.exists())
        return self

    def outcome(self):
        """Weights, optimiser, figures: all that an uninterrupted run and a resumed one must share."""
        state = capture(self.learner)
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in self.rows]
        return {"state": state, "rows": rows, "best": self.best[-1], "last": self.last}


def same(one, other):
    """Equal to the bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(each, other[name]) for name, each in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("whole")).go().outcome()


def test_two_runs_are_equal_and_a_change_is_seen(whole, tmp_path):
    assert same(whole, Run(tmp_path).go().outcome())
    assert not same(whole, Run(tmp_path, "SOLVER.LR", "0.051").go().outcome())


@pytest.mark.parametrize(
    ("minutes", "moment"),
    [(0, 1), (0, 4), (0, PASS), (0, 2 * PASS + 1), (1e-9, 1), (1e-9, 5), (1e-9, 6), (1e-9, 13), (1e-9, 4 * PASS)],
)
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(whole, tmp_path, minutes, moment):
    run = Run(tmp_path, minutes=minutes).stop(moment)
    assert same(whole, run.go(resume=True).outcome())


TECHNIQUES = [
    ("OPTIMIZER", "sgd"),
    ("OPTIMIZER", "adam"),
    ("SCHEDULE", "cosine", "CYCLES", "2"),
    ("SCHEDULE", "plateau", "PLATEAU_PATIENCE", "1"),
    ("ACCUMULATE", "2"),
    ("ACCUMULATE", "2", "FREEZE_EPOCHS", "2", "CLIP", "0.01"),
    ("EMA", "0.9"),
    ("EMA", "0.9", "ACCUMULATE", "3"),
    ("SWA_EPOCHS", "3"),
    ("MODEL.ANY_HEAD", "0.5", "SOLVER.EMA", "0.9"),
]


@pytest.mark.parametrize("technique", TECHNIQUES, ids="_".join)
def test_a_run_of_each_technique_that_was_stopped_ends_as_if_it_had_not_been(whole, tmp_path, technique):
    options = [f"SOLVER.{word}" if word.isupper() and "." not in word else word for word in technique]
    plain = Run(tmp_path / "whole", *options).go().outcome()
    assert not same(plain["state"]["model"], whole["state"]["model"]) or plain["rows"] != whole["rows"]
    run = Run(tmp_path, *options, minutes=1e-9)
    for moment in (1, 3, 6, PASS + 2):  # in training, in validation, and in a later epoch
        run.stop(moment)
    assert same(plain, run.go(resume=True).outcome())


def test_a_run_may_be_stopped_again_and_again(whole, tmp_path):
    run = Run(tmp_path, minutes=1e-9)
    for _ in range(5):
        run.stop(5)
    assert same(whole, run.go(resume=True).outcome())


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_that_load_change_nothing(whole, tmp_path, workers):
    run = Run(tmp_path, workers=workers, minutes=1e-9).stop(PASS + 3)
    run.workers = 3 - workers
    assert same(whole, run.go(resume=True).outcome())


def test_early_stopping_remembers_how_long_it_waited(tmp_path):
    options = ["SOLVER.PATIENCE", "2", "SOLVER.LR", "1e-9"]
    whole = Run(tmp_path / "whole", *options).go().outcome()
    assert len(whole["rows"]) < EPOCHS
    assert same(whole, Run(tmp_path, *options).stop(PASS + 1).go(resume=True).outcome())


def test_batches_that_were_seen_are_not_read_again(tmp_path):
    run = Run(tmp_path, minutes=1e-9).stop(4)
    run.go(resume=True)
    assert run.train.reads == (11 - 4 * 2) + (EPOCHS - 1) * 11


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", [3, 7])
def test_a_signal_leaves_the_state_of_that_very_batch(whole, tmp_path, number, moment):
    run = Run(tmp_path)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit) as caught:
        run.go(At(moment, lambda learn: signal.raise_signal(number), order=0))
    assert getattr(caught.value, "code", 143) == 143
    state = load_state(run.path)
    assert (state["epoch"], state["batch"]) == (0, min(moment, 5))
    assert same(whole, run.go(resume=True).outcome())


def test_other_patches_than_those_of_the_checkpoint_are_refused(tmp_path):
    run = Run(tmp_path).stop(9)
    with pytest.raises(StateError, match="are not those of the checkpoint"):
        run.go(resume=True, data="other")


def test_weights_that_are_not_finite_never_become_a_checkpoint(tmp_path):
    run = Run(tmp_path, minutes=1e-9)
    spoil = At(PASS + 2, lambda learn: learn.model.head.bias.data.fill_(float("nan")), order=0)
    with pytest.raises(TrainingError, match="weights are no longer finite in epoch 2"):
        run.go(spoil)
    assert all(bool(torch.isfinite(value).all()) for value in load_state(run.path)["model"].values())


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run = Run(tmp_path).stop(9)
    state = load_state(run.path)
    state["model"]["head.weight"] = torch.zeros(2, 6, 1, 1)
    save_state(run.path, state)
    with pytest.raises(StateError, match=r"network is another one.*head\.weight"):
        run.go(resume=True)


def spoiled(state, how):
    first = next(each for each in state["state"] if "grad_avg" in each)
    if how == "shape":
        first["grad_avg"] = first["grad_avg"][:1]
    if how == "parameters":
        state["state"].pop()
    if how == "step":
        del first["step"]
    return state


@pytest.mark.parametrize("how", ["shape", "parameters", "step"])
def test_a_broken_state_of_the_optimiser_is_an_error(tmp_path, how):
    run = Run(tmp_path).stop(9)
    state = load_state(run.path)["optimiser"]
    with pytest.raises(StateError, match="the checkpoint's optimiser"):
        restore_optimiser(run.learner.opt, spoiled(state, how))


def test_a_run_that_goes_on_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    Run(tmp_path, minutes=1e-9).stop(PASS + 2).go(resume=True)
    assert "going on in epoch 2 after 2 batches" in caplog.text


def test_the_state_holds_nothing_of_this_machine(tmp_path):
    run = Run(tmp_path).stop(9)
    assert str(Path.home()) not in run.path.read_bytes().decode("latin-1")
