import pytest
import torch
from torch import nn

from config import load_cfg
from model.callbacks.average import build_averaging
from model.learner import fit
from tests.model.test_learner import build
from tests.model.watchers import Watcher


def averaged(*options, epochs=3):
    """A learner that has learnt with an average, the average, and the weights of the head after steps and epochs."""
    learner, cfg = build("SOLVER.EPOCHS", str(epochs), *options)
    shown, averaging = build_averaging(cfg, learner.model)
    first = learner.model.head.bias.detach().clone()
    watcher = Watcher(lambda learn: learn.model.head.bias.detach().clone())
    learner.add_cbs([*averaging, watcher])
    fit(learner, cfg)
    return learner, shown, first, watcher


def test_without_an_average_the_network_itself_is_shown():
    network = nn.Conv2d(3, 1, 1)
    assert build_averaging(load_cfg(), network) == (network, [])


def test_an_exponential_average_is_that_of_all_steps():
    _, shown, mean, watcher = averaged("SOLVER.EMA", "0.5")
    for count, weight in enumerate(watcher.after_steps):
        decay = min(0.5, (1 + count) / (10 + count))
        mean = decay * mean + (1 - decay) * weight
    assert len(watcher.after_steps) == 9
    torch.testing.assert_close(shown.head.bias, mean)


def test_an_average_of_the_tail_is_that_of_the_ends_of_the_last_epochs():
    _, shown, _, watcher = averaged("SOLVER.SWA_EPOCHS", "2")
    torch.testing.assert_close(shown.head.bias, torch.stack(watcher.after_trains[-2:]).mean(0))


def test_before_the_tail_the_weights_themselves_are_shown():
    learner, cfg = build("SOLVER.EPOCHS", "4", "SOLVER.SWA_EPOCHS", "1")
    shown, averaging = build_averaging(cfg, learner.model)
    pairs = Watcher(lambda learn: (learn.model.head.bias.detach().clone(), shown.head.bias.clone()))
    learner.add_cbs([*averaging, pairs])
    fit(learner, cfg)
    assert all(torch.equal(*pair) for pair in pairs.after_epochs)


@pytest.mark.parametrize("option", [("SOLVER.EMA", "0.99"), ("SOLVER.SWA_EPOCHS", "3")])
def test_the_average_is_what_is_validated_and_training_goes_on_as_without(option):
    plain, cfg = build()
    fit(plain, cfg)
    learner, shown, *_ = averaged(*option)
    assert all(torch.equal(a, b) for a, b in zip(learner.model.parameters(), plain.model.parameters(), strict=True))
    assert [row[0] for row in learner.recorder.values] == [row[0] for row in plain.recorder.values]
    images, masks = zip(*learner.dls.valid.dataset, strict=True)
    with torch.no_grad():
        predicted, truth = shown(torch.stack(images)) > 0, torch.stack(masks) == 1
    dice = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
    assert learner.recorder.values[-1][-1] == pytest.approx(float(dice))
    assert not torch.equal(shown.head.weight, learner.model.head.weight)


def test_statistics_of_batch_norm_are_averaged_too():
    network = nn.BatchNorm2d(1)
    cfg = load_cfg(options=["SOLVER.EMA", "0.9"])
    shown, (averaging,) = build_averaging(cfg, network)
    network.running_mean.fill_(1.0)
    network.num_batches_tracked.fill_(7)
    averaging.move(0.25)
    assert shown.running_mean.item() == 0.25
    assert shown.num_batches_tracked.item() == 7
    assert not shown.training


def test_the_average_of_a_network_of_volumes_is_kept_as_that_of_any_other():
    network = nn.Sequential(nn.Conv3d(1, 2, 1), nn.Conv2d(2, 1, 1))
    (averaging,) = build_averaging(load_cfg("", ["SOLVER.EMA", "0.5"]), network)[1]
    averaging.before_fit()
    assert averaging.mean[1].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(averaging.mean.state_dict(), network.state_dict())
