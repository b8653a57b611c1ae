"""Runs of one class along the rows of a mask that is seen strip by strip, and which of them touch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Strip:
    """Rows of a mask with what outlines need around them: the row above, and an empty column on both sides.

    `values` is (n + 1, columns + 2) uint8, class indices; `row` is the place in the mask of the first new row, which
    is the second one here.
    """

    values: np.ndarray
    row: int

    @cached_property
    def walls(self) -> np.ndarray:
        """Where neighbours in a row differ, (n + 1, columns + 1) boolean; wall `x` lies left of the mask's column x."""
        return self.values[:, 1:] != self.values[:, :-1]


@dataclass(frozen=True)
class Runs:
    """Runs of one class along the rows of a strip, in C order; each array holds one value a run, int64.

    Row 0 is the one above the strip. A run covers the mask's columns `starts` to `stops`.
    """

    rows: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    classes: np.ndarray

    def touching(self, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (2, n) of runs of one class in neighbouring rows that share a face, and those that share a corner.

        `width` is any number above the columns of the mask.
        """
        starts, stops = self.rows * width + self.starts, self.rows * width + self.stops
        first = np.searchsorted(stops, starts - width)
        counts = np.searchsorted(starts, stops - width, "right") - first
        below = np.repeat(np.arange(len(starts)), counts)
        above = np.arange(len(below)) + np.repeat(first - np.cumsum(counts) + counts, counts)
        alike = self.classes[above] == self.classes[below]
        pairs = np.stack([above, below])[:, alike]
        above, below = pairs
        faces = (starts[above] < stops[below] - width) & (stops[above] > starts[below] - width)
        return pairs[:, faces], pairs[:, ~faces]

    def at(self, pixels: np.ndarray, width: int) -> np.ndarray:
        """The runs that hold some pixels, given as row * width + column."""
        return np.searchsorted(self.rows * width + self.starts, pixels, "right") - 1


def find_runs(strip: Strip) -> Runs:
    """The runs of a strip, those of the row above it included."""
    width = strip.walls.shape[1]
    walls = np.flatnonzero(strip.walls)
    rows, columns = np.divmod(walls, width)
    classes = strip.values[rows, columns + 1].astype(np.int64)
    inside = np.flatnonzero(classes)  # the last wall of a row has background behind it
    return Runs(rows[inside], columns[inside], columns[inside + 1], classes[inside])
