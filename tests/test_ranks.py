"""Training by several processes, from the outside."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from model.checkpoints import load_checkpoint
from tests.ranks import Plain, train_together
from tests.test_resume import save_pairs, words

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("ranks")
    save_pairs(root / "pairs", 10)
    return root


def options(root, name, *more, **changes):
    """Patches of 32 pixels: 20 to learn from and 20 to validate on, in 5 batches each, of one fold."""
    plain = {"SOLVER__FOLDS": "[0]", "SOLVER__LR": 0.02, "SOLVER__CHECKPOINT_MINUTES": 0}
    return words(root, name, *more, **(plain | changes))


def log_of(root, name, rank=0):
    return (root / f"{name}.log.{rank}").read_text()


def train(root, name, count, *more, **changes):
    """Exit codes of processes that train together."""
    kinds = {key: changes.pop(key) for key in ("network", "hook") if key in changes}
    return train_together(options(root, name, *more, **changes), root / f"{name}.log", count, **kinds)


def last_weights(root, name):
    return load_checkpoint(root / "runs" / name / "last_epoch" / "fold0.safetensors")[0]


TECHNIQUES = {
    "bce_dice": {},
    "symmetric_lovasz": {"SOLVER__LOSS_FUNCTION_NAME": "symmetric_lovasz"},
    "steps": {"SOLVER__FREEZE_EPOCHS": 1, "SOLVER__ACCUMULATE": 2, "SOLVER__CLIP": 0.1, "SOLVER__SCHEDULE": "cosine"},
    "heads": {"MODEL__ANY_HEAD": 0.5, "SOLVER__EMA": 0.9},
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_two_processes_learn_as_one_does_within_rounding(pairs, technique):
    histories, weights = [], []
    for count in (1, 2):
        name = f"{technique}{count}"
        assert train(pairs, name, count, **TECHNIQUES[technique]) == [0] * count, log_of(pairs, name)
        histories.append(pd.read_csv(pairs / "runs" / name / "history.csv").drop(columns="seconds"))
        weights.append(last_weights(pairs, name))
    pd.testing.assert_frame_equal(*histories, rtol=1e-5, atol=0)
    assert all((tensor - weights[1][name]).abs().max() < 1e-5 for name, tensor in weights[0].items())
    assert log_of(pairs, f"{technique}2", rank=1) == ""
    files = [{path.name for path in (pairs / "runs" / f"{technique}{count}").iterdir()} for count in (1, 2)]
    assert files[0] == files[1]


def end_one(rank, step):
    if (rank, step) == (1, 8):
        os.kill(os.getpid(), signal.SIGKILL)


def end_all(rank, step):
    if step == 4:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("hook", "codes"), [(end_one, [3, -9]), (end_all, [143, 143])])
def test_processes_that_were_ended_go_on_together_as_if_they_had_not(pairs, hook, codes):
    whole, name = f"whole_{hook.__name__}", hook.__name__
    assert train(pairs, whole, 2) == [0, 0]
    assert train(pairs, name, 2, hook=hook) == codes, log_of(pairs, name)
    expected = "error: another process of the training has ended" if hook is end_one else "--resume goes on from here"
    assert expected in log_of(pairs, name)
    assert train(pairs, name, 2, "--resume") == [0, 0], log_of(pairs, name)
    assert "going on in epoch" in log_of(pairs, name)
    expected, found = last_weights(pairs, whole), last_weights(pairs, name)
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())


def test_one_process_goes_on_where_two_were_ended_within_rounding(pairs):
    assert train(pairs, "whole", 2) == [0, 0]
    assert train(pairs, "fewer", 2, hook=end_all) == [143, 143]
    assert train(pairs, "fewer", 1, "--resume") == [0], log_of(pairs, "fewer")
    expected, found = last_weights(pairs, "whole"), last_weights(pairs, "fewer")
    assert all((tensor - found[key]).abs().max() < 1e-5 for key, tensor in expected.items())


class Unbounded(Plain):
    """Gives what is no number in the fourth forward pass of one process."""

    calls = 0

    def forward(self, images):
        Unbounded.calls += self.training
        factor = float("nan") if (Unbounded.calls, os.environ["RANK"]) == (4, "1") else 1.0
        return super().forward(images) * factor


def test_a_loss_of_one_process_that_is_no_number_ends_all_and_names_the_whole_batch(pairs):
    assert train(pairs, "nan", 2, network=Unbounded) == [1, 1]
    (line,) = [line for line in log_of(pairs, "nan").splitlines() if "CRITICAL" in line]
    names = re.search(r"the loss became nan in epoch 1 on the patches (.*); try a smaller SOLVER.LR", line)[1]
    assert len(names.split(", ")) == 4


def test_accelerate_launch_trains_a_network_with_batch_norm(pairs):
    launch = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    command = [shutil.which("accelerate", path=Path(sys.executable).parent), "launch", *launch]
    command += ["--dynamo_backend", "no", "--main_process_port", "0", "train_net.py", *options(pairs, "launched")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"out-of-fold Dice \d\.\d{3} at threshold \d\.\d{2}", done.stdout.splitlines()[-1])
    assert done.stdout.count("run folder") == 1
    assert done.stderr == ""
