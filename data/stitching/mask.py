"""Masks read by region from a probability map and a threshold."""

from collections.abc import Sequence

import numpy as np

from data.patches.grid import Box
from data.stitching.probability_map import MapView
from utils.metrics import threshold_to_level

Threshold = float | Sequence[float]  # in (0, 1]: one for all classes, or one for each


class MaskView:
    """Class indices of a probability map at a threshold, at the shape of its view."""

    def __init__(self, view: MapView, threshold: Threshold):
        self.view = view
        self.shape = view.shape
        self.level = to_level(threshold)
        self._least = int(np.min(self.level))

    def read(self, box: Box) -> np.ndarray:
        """Class indices box.size uint8: the most probable of the classes that reach their threshold, or 0.

        Only what lies near a cell of the map that reaches it is resampled, which changes nothing: a value between
        cells is never above the highest of them nor below the lowest.
        """
        classes = np.zeros(box.size, np.uint8)
        for part in self.view.parts(box):
            cells = self.view.cells(part)
            block = self.view.probabilities.read(cells)
            if block.max(initial=0) < self._least:
                continue
            if block.shape[-1] == 1 and block.min() >= self._least:
                classes[part.seen_from(box.start).slices] = 1
                continue
            reached = block >= self.level
            if not reached.any():
                continue
            part, block = self._narrowed(part, cells, block, reached)
            place = part.seen_from(box.start).slices
            classes[place] = to_classes(self.view.resampled(part, block), self.level)
        return classes

    def _narrowed(self, part: Box, cells: Box, block: np.ndarray, reached: np.ndarray) -> tuple[Box, np.ndarray]:
        """What of a box lies near cells that reach the threshold, and the block of cells that decides it."""
        near = self.view.reach(_bounds(reached).shifted(cells.start))
        part = near.seen_from(part.start).within(part.size).shifted(part.start)
        return part, block[self.view.cells(part).seen_from(cells.start).slices]


def _bounds(mask: np.ndarray) -> Box:
    """The smallest box that holds every true cell of a mask (*spatial, K)."""
    axes = range(mask.ndim)
    found = [np.flatnonzero(mask.any(tuple(other for other in axes if other != axis))) for axis in axes[:-1]]
    return Box(tuple(int(each[0]) for each in found), tuple(int(each[-1] - each[0]) + 1 for each in found))


def by_class(threshold: Threshold, classes: int) -> tuple[float, ...]:
    """A threshold for each class."""
    return tuple(threshold) if isinstance(threshold, Sequence) else (threshold,) * classes


def to_level(threshold: Threshold) -> int | np.ndarray:
    """Smallest uint8 probability that counts at a threshold; for one a class (K,)."""
    if isinstance(threshold, Sequence):
        return to_levels(threshold, len(threshold))
    return threshold_to_level(threshold)


def to_levels(threshold: Threshold, classes: int) -> np.ndarray:
    """Smallest uint8 probability of each class (K,) that counts."""
    return np.array([threshold_to_level(each) for each in by_class(threshold, classes)])


def to_classes(probabilities: np.ndarray, level: int | np.ndarray) -> np.ndarray:
    """Class indices (*spatial) uint8 of probabilities (*spatial, K) uint8; background where none reaches `level`.

    `level` is at least 1, or (K,) of these: then the most probable of the classes that reach their own wins.
    """
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] >= np.min(level)).astype(np.uint8)
    if np.ndim(level):
        probabilities, level = np.where(probabilities >= level, probabilities, 0), 1
    best = probabilities.argmax(-1)
    reached = probabilities.max(-1) >= level
    return np.where(reached, best + 1, 0).astype(np.uint8)
