"""What shows a training while it runs: its figures in loggers, a plot of its history, pictures of samples."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fastai.callback.core import Callback

from utils.plots import plot_history

STEPS_BETWEEN = 20
SHARE_OF_TIME = 0.05  # of the training, that drawing the history may take


class Told(Protocol):
    """Takes figures and pictures by name."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures after so many training steps."""

    def picture(self, name: str, path: Path) -> None:
        """A PNG file of the step that was told last."""


class LogFigures(Callback):
    """Tells `loggers` loss and rate every few steps and, after each epoch, all figures of the last of `rows`."""

    order = 65  # after History, which adds the row

    def __init__(self, rows: Sequence[Mapping[str, Any]], loggers: Told):
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
    """Calls `draw` with the name of a new file in `folder` after every so many epochs, and shows it to `loggers`."""

    order = 75  # after the weights are kept

    def __init__(self, every: int, draw: Callable[[Path], None], folder: Path, fold: int, loggers: Told):
        self.every = every
        self.draw = draw
        self.folder = folder
        self.fold = fold
        self.loggers = loggers

    def after_epoch(self) -> None:
        """Draw where it is due."""
        epoch = self.epoch + 1
        if epoch % self.every == 0:
            path = self.folder / f"fold{self.fold}_epoch{epoch:03d}.png"
            self.draw(path)
            self.loggers.picture("samples", path)


def watch(
    run: Path, fold: int, history: list[dict], loggers: Told, every: int, draw: Callable[[Path], None]
) -> list[Callback]:
    """What shows the training of a fold: figures, a plot of the history, and samples every so many epochs; 0: never."""
    plot = DrawHistory(lambda: plot_history(history, run / "history.png"))
    samples = [DrawSamples(every, draw, run / "samples", fold, loggers)] if every else []
    return [LogFigures(history, loggers), plot, *samples]
