"""The figures of each epoch."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from fastai.callback.core import Callback

from utils.metrics import iou_of
from utils.tables import read_table, write_table

log = logging.getLogger(__name__)
COLUMNS = ["fold", "epoch", "lr", "train_loss", "valid_loss", "valid_dice", "valid_iou", "seconds"]
WHOLE = ("fold", "epoch")  # columns of whole numbers


def read_history(path: Path) -> list[dict]:
    """The rows of a history.csv that a stopped run left; none where there is no such file."""
    if not path.exists():
        return []
    rows = read_table(path, [name for name in COLUMNS if name != "valid_iou"]).to_dict("records")
    figures = [{name: int(text) if name in WHOLE else float(text) for name, text in row.items()} for row in rows]
    return [{"valid_iou": iou_of(row["valid_dice"]), **row} for row in figures]  # earlier versions did not write it


def write_history(path: Path, rows: list[dict]) -> None:
    """Write the rows as history.csv."""
    write_table(path, rows, COLUMNS)


class History(Callback):
    """Appends one row an epoch to `rows`, then calls `save`; `learn.recorder` has the figures."""

    order = 60

    def __init__(self, fold: int, rows: list[dict], save: Callable[[], None]):
        self.fold = fold
        self.rows = rows
        self.save = save

    def before_epoch(self) -> None:
        """Start the clock; rows of this epoch and later ones are of a run that was stopped, and are made again."""
        self.begun = time.monotonic()
        self.rows[:] = [row for row in self.rows if row["fold"] != self.fold or row["epoch"] <= self.epoch]

    def after_epoch(self) -> None:
        """Note and log the epoch."""
        train_loss, valid_loss, dice = self.learn.recorder.values[-1]
        seconds, iou = time.monotonic() - self.begun, self.learn.metrics[0].iou
        values = (self.fold, self.epoch + 1, self.opt.hypers[-1]["lr"], train_loss, valid_loss, dice, iou, seconds)
        # as the table keeps them: pictures of a run that goes on, from its table, are those of one that never stopped
        rounded = (
            value if name in WHOLE else float(f"{value:.6g}") for name, value in zip(COLUMNS, values, strict=True)
        )
        self.rows.append(dict(zip(COLUMNS, rounded, strict=True)))
        self.save()
        left = seconds * (self.n_epoch - self.epoch - 1)
        log.info(
            "fold %d epoch %d of %d: train loss %.4f, valid loss %.4f, valid Dice %.4f, IoU %.4f, about %.0f s left",
            *(self.fold, self.epoch + 1, self.n_epoch, train_loss, valid_loss, dice, iou, left),
        )
