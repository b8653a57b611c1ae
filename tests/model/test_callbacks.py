from types import SimpleNamespace

import pytest
import torch
from fastai.callback.core import CancelFitException

from model.callbacks import EarlyStop, EpochSeed, History, KeepBest, PooledDice, StopAtNaN
from model.callbacks.history import COLUMNS
from model.callbacks.loss import PooledLoss
from model.callbacks.stop import TrainingError

IGNORE = 255


def with_learner(callback, **values):
    """A callback on a stand-in for fastai's Learner."""
    callback.learn = SimpleNamespace(**values)
    return callback


def after_epochs(callback, dices, **values):
    recorder = SimpleNamespace(values=[])
    with_learner(callback, recorder=recorder, **values)
    for epoch, dice in enumerate(dices):
        callback.learn.epoch = epoch
        recorder.values.append((0.5, 0.6, dice))
        callback.after_epoch()


def accumulate(metric, logits, targets):
    metric.accumulate(SimpleNamespace(pred=torch.tensor(logits), yb=(torch.tensor(targets, dtype=torch.uint8),)))


def test_pooled_dice_is_2_tp_by_all_over_all_batches():
    metric = PooledDice()
    metric.reset()
    accumulate(metric, [[[[1.0, -1.0, 2.0, 0.0]]]], [[[[1, 1, 0, 0]]]])  # 1 of 2 found, 1 too many; 0 is not above 0
    assert metric.value == pytest.approx(2 * 1 / (2 + 2))
    accumulate(metric, [[[[5.0, 5.0]]]], [[[[1, 1]]]])
    assert metric.value == pytest.approx(2 * 3 / (4 + 4))


def test_pooled_dice_leaves_ignored_pixels_out():
    metric = PooledDice()
    metric.reset()
    accumulate(metric, [[[[9.0, 9.0, -9.0]]]], [[[[1, IGNORE, IGNORE]]]])
    assert metric.value == 1


def test_pooled_dice_of_nothing_is_one_and_reset_forgets():
    metric = PooledDice()
    metric.reset()
    accumulate(metric, [[[[-1.0]]]], [[[[0]]]])
    assert metric.value == 1
    accumulate(metric, [[[[1.0]]]], [[[[0]]]])
    assert metric.value == 0
    metric.reset()
    assert metric.value == 1
    assert metric.name == "valid_dice"


def test_pooled_dice_pools_classes_and_takes_half_precision():
    metric = PooledDice()
    metric.reset()
    learn = SimpleNamespace(pred=torch.tensor([[[1.0], [1.0]]]).half(), yb=(torch.tensor([[[1], [0]]]),))
    metric.accumulate(learn)
    assert metric.value == pytest.approx(2 / 3)


def test_the_loss_of_an_epoch_weighs_batches_with_their_patches():
    loss = PooledLoss()
    for _ in range(2):
        loss.reset()
        for value, patches in ((1.0, 3), (4.0, 1)):
            loss.accumulate(SimpleNamespace(loss=torch.tensor(value), yb=(torch.zeros(patches, 1, 2, 2),)))
        loss.pool()
        assert loss.value == pytest.approx((3 * 1 + 4) / 4)


def test_the_best_and_the_last_epoch_are_kept():
    best, last = [], []
    keep = KeepBest(lambda *args: best.append(args), lambda *args: last.append(args))
    after_epochs(keep, [0.0, 0.5, 0.3, 0.5, 0.7, 0.6])
    keep.after_fit()
    assert best == [(1, 0.0), (2, 0.5), (5, 0.7)]
    assert last == [(6, 0.6)]


def test_a_run_of_no_epoch_keeps_nothing():
    keep = with_learner(KeepBest(pytest.fail, pytest.fail), recorder=SimpleNamespace(values=[]))
    keep.after_fit()


def test_early_stop_waits_for_its_patience():
    stop = EarlyStop(2)
    with pytest.raises(CancelFitException):
        after_epochs(stop, [0.1, 0.3, 0.3, 0.2, 0.9])
    assert len(stop.learn.recorder.values) == 4
    after_epochs(EarlyStop(2), [0.1, 0.3, 0.2, 0.4, 0.4, 0.5])


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training_with_advice(loss):
    train = SimpleNamespace(names_of=lambda batch: [f"a{batch}", "b"])
    values = {"loss_grad": torch.tensor(loss), "epoch": 2, "iter": 4, "dls": SimpleNamespace(train=train)}
    stop = with_learner(StopAtNaN(), training=True, **values)
    with pytest.raises(TrainingError, match=r"in epoch 3 on the patches a4, b; try a smaller SOLVER\.LR"):
        stop.after_loss()


def test_a_finite_loss_and_any_validation_loss_go_on():
    with_learner(StopAtNaN(), training=True, loss_grad=torch.tensor(1e30), epoch=0).after_loss()
    with_learner(StopAtNaN(), training=False, loss_grad=torch.tensor(float("nan")), epoch=0).after_loss()


def test_history_has_a_row_an_epoch_and_saves_each():
    rows, saved = [], []
    history = History(3, rows, lambda: saved.append(len(rows)))
    recorder = SimpleNamespace(values=[(0.9, 0.8, 0.7)])
    opt, metrics = SimpleNamespace(hypers=[{"lr": 1e-4}, {"lr": 1e-3}]), [SimpleNamespace(iou=0.55)]
    with_learner(history, recorder=recorder, epoch=4, n_epoch=5, opt=opt, metrics=metrics)
    history.before_epoch()
    history.after_epoch()
    assert list(rows[0]) == COLUMNS
    assert [rows[0][name] for name in COLUMNS[:-1]] == [3, 5, 1e-3, 0.9, 0.8, 0.7, 0.55]
    assert saved == [1]


def test_the_training_set_learns_its_epoch():
    dataset = SimpleNamespace(epoch=0)
    seed = with_learner(EpochSeed(), dls=SimpleNamespace(train=SimpleNamespace(dataset=dataset)), epoch=7)
    seed.before_epoch()
    assert dataset.epoch == 7
