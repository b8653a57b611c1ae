"""What the window has done beside it, on a thread of its own: loading weights, predicting and saving pictures."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal

from apps.pictures import Outputs, write_outputs
from apps.segmenter import Segmentation, Segmenter


class CancelledError(Exception):
    """The user does not want the rest."""


class Work(QThread):
    """A piece of work; signals come on the window's thread.

    `fraction` is how much is done, 0 to 1; `result` a path with what came of it; `trouble` a path with what is wrong.
    """

    fraction = Signal(float)
    result = Signal(object, object)
    trouble = Signal(object, str)

    def __init__(self, steps: "list[tuple[Path, Callable[[Work], Any]]]", parent: QObject | None = None):
        super().__init__(parent)
        self.cancelled = False
        self.made: list[Any] = []  # also what no signal has told yet
        self._steps = steps
        self._done = 0

    def cancel(self) -> None:
        """Have the work end at the next patch."""
        self.cancelled = True

    def run(self) -> None:
        """Take one step after the other; one that fails does not stop the others, a wish to cancel does."""
        for number, (path, step) in enumerate(self._steps):
            if self.cancelled:
                return
            self._done = number
            self.fraction.emit(self._done / len(self._steps))
            try:
                self.made.append(step(self))
                self.result.emit(path, self.made[-1])
            except CancelledError:
                return
            except Exception as error:
                self.trouble.emit(path, str(error) or type(error).__name__)
        self.fraction.emit(1.0)

    def track(self, items: Iterable, label: str, total: int) -> Iterator:
        """Yield items and tell how far the step is; raises CancelledError once the user wants no more."""
        for number, item in enumerate(items):
            if self.cancelled:
                raise CancelledError
            self.fraction.emit((self._done + number / max(total, 1)) / len(self._steps))
            yield item


def prediction(segmenter: Segmenter, path: Path, outputs: Outputs | None, threshold: float | None) -> Callable:
    """The step that predicts a picture and, where a place is known, saves its overlay and mask."""

    def step(work: Work) -> Segmentation:
        found = segmenter(path, work.track)
        try:
            if outputs:
                write_outputs(outputs, found, threshold)
        except BaseException:
            found.close()
            raise
        return found

    return step


def saving(found: Segmentation, outputs: Outputs, threshold: float | None) -> Callable:
    """The step that saves a picture that was predicted before, without the network."""

    def step(work: Work) -> Segmentation:
        write_outputs(outputs, found, threshold)
        return found

    return step
