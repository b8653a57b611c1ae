from types import SimpleNamespace

import pytest

from model.callbacks import DrawHistory, DrawSamples, LogFigures
from model.callbacks import watch as module
from model.callbacks.watch import watch

STEPS = 50


def with_learner(callback, **values):
    """A callback on a stand-in for fastai's Learner, of an epoch of 50 training steps."""
    callback.learn = SimpleNamespace(dls=SimpleNamespace(train=range(STEPS)), n_iter=STEPS, **values)
    return callback


class Told(list):
    def scalars(self, step, values):
        self.append((step, dict(values)))

    def picture(self, name, path):
        self.append((name, path))


def steps_of(callback, epoch):
    callback.learn.epoch = epoch
    for number in range(STEPS):
        callback.learn.iter = number
        callback.learn.recorder = SimpleNamespace(losses=[0.5 + number], lrs=[1e-3])
        callback.after_batch()


def test_figures_are_told_every_few_steps_and_all_of_them_after_the_epoch():
    told, rows = Told(), []
    callback = with_learner(LogFigures(rows, told), training=True)
    for epoch in range(2):
        steps_of(callback, epoch)
        rows.append({"fold": 3, "epoch": epoch + 1, "train_loss": 0.1, "valid_dice": 0.9})
        callback.after_epoch()
    assert [step for step, _ in told] == [20, 40, 50, 60, 80, 100]  # not 100 twice
    assert told[0][1] == {"train_loss": 19.5, "lr": 1e-3}
    assert told[-1][1] == {"epoch": 2, "train_loss": 0.1, "valid_dice": 0.9}


def test_steps_of_validation_are_not_told():
    told = Told()
    steps_of(with_learner(LogFigures([], told), training=False), 0)
    assert told == []


@pytest.mark.parametrize(("cost", "expected"), [(0.0, [1, 2, 3, 4]), (1.0, [1]), (0.11, [1, 3])])
def test_the_history_is_drawn_as_often_as_time_allows(cost, expected, monkeypatch):
    clock, drawn = SimpleNamespace(now=0.0), []

    def draw():
        clock.now += cost
        drawn.append(epoch)

    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    callback = with_learner(DrawHistory(draw))
    callback.before_fit()
    for epoch in range(1, 5):  # noqa: B007 draw() looks at it
        clock.now += 2
        callback.after_epoch()
    assert drawn == expected


def test_samples_are_drawn_every_so_many_epochs(tmp_path):
    drawn, told = [], Told()
    callback = with_learner(DrawSamples(3, drawn.append, tmp_path, 2, told))
    for callback.learn.epoch in range(7):
        callback.after_epoch()
    assert drawn == [tmp_path / "fold2_epoch003.png", tmp_path / "fold2_epoch006.png"]
    assert told == [("samples", path) for path in drawn]


def test_without_samples_figures_and_history_are_shown(tmp_path):
    assert [type(each) for each in watch(tmp_path, 0, [], Told(), 0, pytest.fail)] == [LogFigures, DrawHistory]
    assert isinstance(watch(tmp_path, 0, [], Told(), 1, pytest.fail)[-1], DrawSamples)
