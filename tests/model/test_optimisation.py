import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from config.check import CHOICES
from model.callbacks.keep import KeepCycles
from model.checkpoints import load_checkpoint
from model.learner import build_snapshots, fit
from model.optimisation import OPTIMIZERS, LowerOnPlateau
from tests.cards import CARD
from tests.model.test_learner import build
from tests.model.watchers import Watcher


def trained(*options, look=lambda learn: learn.opt.hypers[-1]["lr"]):
    learner, cfg = build(*options)
    watcher = Watcher(look)
    learner.add_cb(watcher)
    fit(learner, cfg)
    return learner, watcher


def biases(learn):
    return learn.model.encoder.bias.detach().clone(), learn.model.head.bias.detach().clone()


def gradient(learn):
    return learn.model.head.bias.grad.clone()


def test_the_choice_of_optimisers_is_their_table():
    assert CHOICES["SOLVER.OPTIMIZER"] == list(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_takes_the_step_that_torch_takes(name):
    options = {"lr": 0.1, "weight_decay": 0.02}
    plain = {
        "adamw": lambda p: torch.optim.AdamW(p, betas=(0.9, 0.99), eps=1e-5, **options),
        "adam": lambda p: torch.optim.Adam(p, betas=(0.9, 0.99), eps=1e-5, **options),
        "sgd": lambda p: torch.optim.SGD(p, momentum=0.9, lr=0.1),
    }
    ours, theirs = (torch.tensor([1.0, -2.0], requires_grad=True) for _ in range(2))
    optimiser = OPTIMIZERS[name]([ours], lr=0.1, wd=0.02 if name != "sgd" else 0.0)
    for parameter, step in ((ours, optimiser), (theirs, plain[name]([theirs]))):
        for _ in range(3):
            parameter.grad = parameter.detach() ** 2 / 10 + 0.1
            step.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_cosine_falls_from_the_highest_rate_to_nearly_nothing():
    _, watcher = trained("SOLVER.SCHEDULE", "cosine", "SOLVER.LR", "0.02")
    expected = [0.02 * (1 + math.cos(math.pi * step / 9)) / 2 for step in range(9)]
    assert watcher.after_batches == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("epochs", "cycles"), [(3, 3), (6, 2), (6, 6)])
def test_each_cycle_begins_at_the_top(epochs, cycles):
    options = ["SOLVER.EPOCHS", str(epochs), "SOLVER.CYCLES", str(cycles), "SOLVER.LR", "0.02"]
    _, watcher = trained("SOLVER.SCHEDULE", "cosine", *options)
    rates, steps = watcher.after_batches, 3 * epochs // cycles
    assert rates[::steps] == pytest.approx([0.02] * cycles)
    assert all(a > b for n, (a, b) in enumerate(pairwise(rates)) if (n + 1) % steps)


def test_the_encoder_keeps_its_share_of_the_rate_in_every_schedule():
    for schedule in CHOICES["SOLVER.SCHEDULE"]:
        _, watcher = trained("SOLVER.SCHEDULE", schedule, "SOLVER.ENCODER_LR_FACTOR", "0.25",
                             look=lambda learn: [hyper["lr"] for hyper in learn.opt.hypers])  # fmt: skip
        assert all(low == pytest.approx(high / 4) for low, high in watcher.after_batches)


def test_rates_fall_where_dice_rests():
    lower = LowerOnPlateau(2, 0.5)
    values, hypers = [], [{"lr": 0.1}, {"lr": 1.0}]
    lower.learn = SimpleNamespace(recorder=SimpleNamespace(values=values), opt=SimpleNamespace(hypers=hypers))
    rates = []
    for dice in (0.3, 0.3, 0.2, 0.4, 0.1, 0.1, 0.1, 0.1):
        values.append((0.0, 0.0, dice))
        lower.after_epoch()
        rates.append(hypers[1]["lr"])
    assert rates == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert hypers[0]["lr"] == 0.0125


def test_a_plateau_begins_at_the_rate_and_ends_lower():
    options = ["SOLVER.SCHEDULE", "plateau", "SOLVER.PLATEAU_PATIENCE", "1", "SOLVER.PLATEAU_FACTOR", "0.1"]
    _, watcher = trained(*options, "SOLVER.LR", "1e-9", "SOLVER.EPOCHS", "4")
    assert watcher.after_batches[::3] == pytest.approx([1e-9, 1e-9, 1e-10, 1e-11])


def test_batches_that_are_accumulated_step_like_one_large_batch():
    small, watcher = trained("SOLVER.ACCUMULATE", "3", "SOLVER.SCHEDULE", "plateau", "SOLVER.LOSS_FUNCTION_NAME", "bce",
                             look=biases)  # fmt: skip
    assert len(watcher.after_steps) == 3  # three batches of four an epoch
    large, cfg = build("SOLVER.SCHEDULE", "plateau", "SOLVER.LOSS_FUNCTION_NAME", "bce")
    large.dls.train = large.dls.train.new(bs=12)
    fit(large, cfg)
    for one, other in zip(small.model.parameters(), large.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_an_epoch_ends_with_a_step_of_the_batches_that_are_left():
    options = ["SOLVER.SCHEDULE", "plateau", "SOLVER.LR", "1e-9", "SOLVER.EPOCHS", "1", "SOLVER.PATIENCE", "0"]
    _, alone = trained(*options, look=gradient)
    _, watcher = trained(*options, "SOLVER.ACCUMULATE", "2", look=gradient)
    one, two, three = alone.after_steps
    assert len(watcher.after_steps) == 2  # of two batches and of one
    torch.testing.assert_close(watcher.after_steps[0], (one + two) / 2, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(watcher.after_steps[1], three, rtol=1e-4, atol=1e-6)


def test_gradients_are_clipped_to_their_norm():
    def norm(learn):
        return torch.stack([p.grad.norm() for p in learn.model.parameters()]).norm().item()

    _, watcher = trained(look=norm)
    assert min(watcher.after_steps) > 0.01
    _, watcher = trained("SOLVER.CLIP", "0.01", look=norm)
    assert watcher.after_steps == pytest.approx([0.01] * 9, rel=1e-3)


def test_a_frozen_encoder_stands_still_and_learns_later():
    learner, _ = build()
    first = learner.model.encoder.bias.detach().clone()
    _, watcher = trained("SOLVER.FREEZE_EPOCHS", "2", "SOLVER.ENCODER_LR_FACTOR", "1.0", look=biases)
    encoders, heads = zip(*watcher.after_epochs, strict=True)
    assert torch.equal(encoders[0], first)
    assert torch.equal(encoders[1], first)
    assert not torch.equal(encoders[2], first)
    assert not torch.equal(heads[0], heads[1])


def test_each_cycle_leaves_its_weights(tmp_path):
    learner, cfg = build("SOLVER.SCHEDULE", "cosine", "SOLVER.EPOCHS", "4", "SOLVER.CYCLES", "2")
    (keep,) = build_snapshots(cfg, learner.model, CARD, tmp_path)
    assert isinstance(keep, KeepCycles)
    watcher = Watcher(lambda learn: learn.model.head.weight.detach().clone())
    learner.add_cbs([keep, watcher])
    fit(learner, cfg)
    names = ["fold2_cycle0.safetensors", "fold2_cycle1.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name, epoch in zip(names, (2, 4), strict=True):
        state, card = load_checkpoint(tmp_path / name)
        assert torch.equal(state["head.weight"], watcher.after_epochs[epoch - 1])
        assert (card.epoch, card.valid_dice) == (epoch, learner.recorder.values[epoch - 1][-1])


def test_one_cycle_leaves_no_snapshot(tmp_path):
    learner, cfg = build()
    assert build_snapshots(cfg, learner.model, CARD, tmp_path) == []
