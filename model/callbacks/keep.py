"""Weights of the best and of the last epoch, and of those between."""

from collections.abc import Callable, Sequence

from fastai.callback.core import Callback


class KeepBest(Callback):
    """Calls `save_best(epoch, dice)` at each new best validation Dice and `save_last(epoch, dice)` at the end.

    Epochs count from 1.
    """

    order = 70
    kept = ("best",)

    def __init__(self, save_best: Callable[[int, float], None], save_last: Callable[[int, float], None]):
        self.save_best = save_best
        self.save_last = save_last
        self.best = -1.0

    def after_epoch(self) -> None:
        """Keep a new best epoch."""
        dice = self.learn.recorder.values[-1][-1]
        if dice > self.best:
            self.best = dice
            self.save_best(self.epoch + 1, dice)

    def after_fit(self) -> None:
        """Keep the last epoch."""
        if self.learn.recorder.values:
            self.save_last(self.epoch + 1, self.learn.recorder.values[-1][-1])


class KeepCycles(Callback):
    """Calls the next of `saves` with (epoch, dice) after every so many epochs; epochs count from 1."""

    order = 70

    def __init__(self, epochs: int, saves: Sequence[Callable[[int, float], None]]):
        self.epochs = epochs
        self.saves = saves

    def after_epoch(self) -> None:
        """Keep the end of a cycle."""
        done = self.epoch + 1
        if done % self.epochs == 0:
            self.saves[done // self.epochs - 1](done, self.learn.recorder.values[-1][-1])
