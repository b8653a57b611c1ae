"""What shows a training while it runs: its figures in loggers, a plot of its history, pictures of samples."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fastai.callback.core import Callback

STEPS_BETWEEN = 20
SHARE_OF_TIME = 0.05  # of the training, that drawing the history may take


class Scalars(Protocol):
    """Takes figures by name."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures after so many training steps."""


class LogFigures(Callback):
    """Tells `loggers` loss and rate every few steps and, after each epoch, all figures of the last of `rows`."""

    order = 65  # after History, which adds the row

    def __init__(self, rows: Sequence[Mapping[str, Any]], loggers: Scalars):
        self.rows = rows
        self.loggers = loggers

    def after_batch(self) -> None:
        """Tell the smoothed loss and the rate; those after the last step of an epoch are told with the epoch."""
        done = self.iter + 1
        step = self.epoch * self.n_iter + done
        if self.training and step % STEPS_BETWEEN == 0 and done < self.n_iter:
            loss, rate = self.learn.recorder.losses[-1], self.learn.recorder.lrs[-1]
            self.loggers.scalars(step, {"train_loss": float(loss), "lr": rate})

    def after_epoch(self) -> None:
        """Tell the figures of the epoch."""
        figures = {name: float(value) for name, value in self.rows[-1].items() if name != "fold"}
        self.loggers.scalars((self.epoch + 1) * len(self.dls.train), figures)


class DrawHistory(Callback):
    """Calls `draw` after an epoch, unless that would cost much beside the training."""

    order = 65

    def __init__(self, draw: Callable[[], None]):
        self.draw = draw
        self.cost = 0.0

    def before_fit(self) -> None:
        """Start the clock."""
        self.last = time.monotonic()

    def after_epoch(self) -> None:
        """Draw if the time since the last drawing was long beside what a drawing takes."""
        now = time.monotonic()
        if self.cost <= SHARE_OF_TIME * (now - self.last):
            self.draw()
            self.last = time.monotonic()
            self.cost = self.last - now


class DrawSamples(Callback):
    """Calls `draw(epoch)` after every so many epochs; epochs count from 1."""

    order = 75  # after the weights are kept

    def __init__(self, every: int, draw: Callable[[int], None]):
        self.every = every
        self.draw = draw

    def after_epoch(self) -> None:
        """Draw where it is due."""
        epoch = self.epoch + 1
        if epoch % self.every == 0:
            self.draw(epoch)
