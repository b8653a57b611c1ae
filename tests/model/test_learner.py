import random

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from torch import nn

from config import load_cfg
from model.callbacks import History
from model.callbacks.history import read_history, write_history
from model.callbacks.stop import TrainingError
from model.card import ModelCard
from model.checkpoints import load_checkpoint
from model.learner import build_learner, fit, keep_weights, plot_rates
from utils.metrics import iou_of
from utils.tables import write_table

CARD = ModelCard("Tiny", "none", 3, ("a",), (0.0,) * 3, (1.0,) * 3, 1.0)


class Tiny(nn.Module):
    """An 'encoder' and a head of one convolution each."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 1)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, images):
        return self.head(self.encoder(images))


class Squares(list):
    """Images whose first channel says what is foreground."""

    epoch = 0

    def __init__(self, count, scale=1.0):
        generator = torch.Generator().manual_seed(count)
        images = torch.rand((count, 3, 8, 8), generator=generator)
        super().__init__((image * scale, (image[:1] > 0.5).to(torch.uint8)) for image in images)


def seeded():
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


def build(*options, callbacks=(), scale=1.0):
    seeded()
    cfg = load_cfg(options=["SOLVER.EPOCHS", "3", "SOLVER.LR", "0.02", *options])
    dls = DataLoaders(
        DataLoader(Squares(12, scale), bs=4, shuffle=True, num_workers=0), DataLoader(Squares(5), bs=4, num_workers=0)
    )
    return build_learner(dls, Tiny(), cfg, callbacks), cfg


def test_the_encoder_learns_at_its_factor_of_the_rate():
    learner, cfg = build("SOLVER.ENCODER_LR_FACTOR", "0.25", "SOLVER.LR", "0.01")
    fit(learner, cfg)
    encoder, rest = learner.opt.param_groups
    assert [id(p) for p in encoder["params"]] == [id(p) for p in learner.model.encoder.parameters()]
    assert [id(p) for p in rest["params"]] == [id(p) for p in learner.model.head.parameters()]
    low, high = learner.opt.hypers
    assert low["lr"] == pytest.approx(0.25 * high["lr"])
    assert max(learner.recorder.lrs) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("factor", ["1e-9", "1.0"])
def test_an_encoder_of_rate_nought_stands_still(factor):
    learner, cfg = build("SOLVER.ENCODER_LR_FACTOR", factor, "SOLVER.WEIGHT_DECAY", "0")
    encoder, head = learner.model.encoder.weight.detach().clone(), learner.model.head.weight.detach().clone()
    fit(learner, cfg)
    assert torch.allclose(learner.model.encoder.weight, encoder, atol=1e-6) == (factor == "1e-9")
    assert not torch.allclose(learner.model.head.weight, head, atol=1e-3)


def test_training_learns():
    learner, cfg = build("SOLVER.EPOCHS", "12", "SOLVER.ENCODER_LR_FACTOR", "1.0", "SOLVER.LR", "0.2")
    fit(learner, cfg)
    losses = [values[1] for values in learner.recorder.values]
    assert losses[-1] < 0.7 * losses[0]
    assert learner.recorder.values[-1][2] > 0.8


def test_the_best_epoch_is_that_of_the_highest_dice(tmp_path):
    rows = []
    history = History(0, rows, lambda: None)
    learner, cfg = build("SOLVER.EPOCHS", "6", "SOLVER.LR", "0.3", callbacks=[history])
    best, last = tmp_path / "best" / "w.safetensors", tmp_path / "last" / "w.safetensors"
    learner.add_cb(keep_weights(learner.model, CARD, best, last))
    fit(learner, cfg)
    dices = [row["valid_dice"] for row in rows]
    assert len(rows) == 6
    assert [row["valid_iou"] for row in rows] == pytest.approx([iou_of(dice) for dice in dices], abs=1e-5)
    state, card = load_checkpoint(best)
    assert card.epoch == dices.index(max(dices)) + 1
    assert card.valid_dice == pytest.approx(max(dices), abs=1e-6)
    state, card = load_checkpoint(last)
    assert card.epoch == 6
    assert card.valid_dice == pytest.approx(dices[-1], abs=1e-6)
    assert torch.equal(state["head.weight"], learner.model.head.weight)


def test_the_last_epoch_alone_is_kept_where_no_case_may_choose(tmp_path):
    rows = []
    learner, cfg = build("SOLVER.EPOCHS", "6", "SOLVER.LR", "0.3", callbacks=[History(0, rows, lambda: None)])
    best, last = tmp_path / "best.safetensors", tmp_path / "last.safetensors"
    learner.add_cb(keep_weights(learner.model, CARD, best, last, keep="last"))
    fit(learner, cfg)
    dices = [row["valid_dice"] for row in rows]
    assert dices[-1] < max(dices)
    assert best.read_bytes() == last.read_bytes()
    assert load_checkpoint(best)[1].epoch == 6


def test_patience_ends_training_and_still_keeps_the_last_epoch(tmp_path):
    rows = []
    learner, cfg = build("SOLVER.EPOCHS", "30", "SOLVER.PATIENCE", "2", "SOLVER.LR", "1e-9",
                         callbacks=[History(0, rows, lambda: None)])  # fmt: skip
    learner.add_cb(keep_weights(learner.model, CARD, tmp_path / "best.safetensors", tmp_path / "last.safetensors"))
    fit(learner, cfg)
    assert len(rows) == 3  # the first is the best, two more are waited for
    assert load_checkpoint(tmp_path / "best.safetensors")[1].epoch == 1
    assert load_checkpoint(tmp_path / "last.safetensors")[1].epoch == 3


def test_a_loss_that_is_not_a_number_ends_training_with_an_error():
    learner, cfg = build(scale=float("nan"))
    with pytest.raises(TrainingError, match="in epoch 1"):
        fit(learner, cfg)


def test_equal_seeds_give_equal_weights():
    learners = []
    for _ in range(2):
        learner, cfg = build()
        fit(learner, cfg)
        learners.append(learner.model.state_dict())
    assert all(torch.equal(tensor, learners[1][name]) for name, tensor in learners[0].items())


def test_nothing_is_printed_but_through_the_log(capsys):
    learner, cfg = build()
    fit(learner, cfg)
    assert capsys.readouterr() == ("", "")


def test_the_rate_finder_leaves_its_plot_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learner, _ = build("SOLVER.PATIENCE", "1")
    (tmp_path / "run").mkdir()
    plot_rates(learner, tmp_path / "run" / "lr_finder.png")
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "lr_finder.png"]


def test_mixed_precision_and_patience_are_as_the_config_says():
    names = {type(callback).__name__ for callback in build()[0].cbs}
    assert {"StopAtNaN", "ChannelsLast", "EpochSeed"} <= names
    assert not {"EarlyStop", "ProgressCallback"} & names
    assert "EarlyStop" in {type(callback).__name__ for callback in build("SOLVER.PATIENCE", "3")[0].cbs}


def test_a_history_of_an_earlier_version_gets_the_iou_that_follows_from_its_dice(tmp_path):
    row = {"fold": 0, "epoch": 1, "lr": 0.1, "train_loss": 0.5, "valid_loss": 0.4, "valid_dice": 0.8, "seconds": 2}
    write_table(tmp_path / "old.csv", [row], list(row))
    read = read_history(tmp_path / "old.csv")
    assert read == [row | {"valid_iou": pytest.approx(2 / 3)}]
    write_history(tmp_path / "new.csv", read)
    assert read_history(tmp_path / "new.csv") == [row | {"valid_iou": pytest.approx(2 / 3, abs=1e-6)}]
