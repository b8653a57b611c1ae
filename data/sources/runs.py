"""Labels held as runs of pixels down the columns: memory follows the outlines of the objects, not the image."""

import math
from collections.abc import Sequence

import numpy as np

from data.patches.grid import Box
from data.sources.source import Source
from utils.resample import needed_range

IGNORE = 255  # class index of pixels that count neither in a loss nor in a score
RUNS_AT_ONCE = 2**17  # runs that are turned into segments at a time, to keep intermediate arrays small
Runs = tuple[np.ndarray, np.ndarray]  # 0-based starts, ascending, and lengths of runs that do not overlap


class RunLabels(Source):
    """Class indices from runs; `layers` are (class index, runs), and where they overlap, the last one counts.

    An index is one of 1..classes, IGNORE, or 0 for what takes earlier layers away. Kept is one segment for each column
    that a run crosses.
    """

    def __init__(self, layers: Sequence[tuple[int, Runs]], shape: tuple[int, ...], classes: int):
        self.level_shapes = (shape,)
        self.channels = 1
        self.planes = classes + any(index == IGNORE for index, _ in layers)  # the ignored ones are the last
        self._indices = np.array([*range(classes + 1), IGNORE], np.uint8)
        planes = [(classes + 1 if index == IGNORE else index, runs) for index, runs in layers]
        self._segments = _column_segments(*_without_overlap(planes), shape[0])

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Class indices (rows, columns, 1) uint8."""
        column, top, bottom, number = (part.astype(np.int64) for part in self._inside(box))
        first = (column - box.start[1]) * box.size[0] - box.start[0]
        ends = np.column_stack([first + top, first + bottom]).ravel()
        values = np.zeros(len(ends) + 1, np.uint8)
        values[1::2] = self._indices[number]
        flat = np.repeat(values, np.diff(ends, prepend=0, append=math.prod(box.size)))
        return np.ascontiguousarray(flat.reshape(box.size[::-1]).T)[..., None]

    def areas(self, box: Box, shape: tuple[int, ...]) -> np.ndarray:
        """Area of each class in the cells of a box at a `shape` no larger than level 0: (planes, *box.size) int64.

        A plane after those of the classes, if there is one, is what is ignored. A full cell has an area of the product
        of the sides of level 0, so that all areas are whole numbers.
        """
        rows, columns = zip(box.start, box.stop, shape, self.shape, strict=True)
        (top_px, bottom_px), (left_px, right_px) = needed_range(*rows), needed_range(*columns)
        segments = self._inside(Box((top_px, left_px), (bottom_px - top_px, right_px - left_px)))
        column, top, bottom, number = (part.astype(np.int64) for part in segments)
        size = self.planes, box.size[1] + 2, box.size[0] + 2
        sums = np.zeros(math.prod(size), np.int64)
        for place, width in _split(column, columns):
            line = ((number - 1) * size[1] + place) * size[2]
            for sign, step in ((1, top), (-1, bottom)):
                for cell, height in _steps(step, rows):
                    np.add.at(sums, line + cell, sign * width * height)
        return np.moveaxis(sums.reshape(size).cumsum(-1)[:, 1:-1, :-2], 1, 2)

    def is_empty(self, box: Box) -> bool:
        """Whether all of a box is background, without making its pixels."""
        return self._inside(box).size == 0

    def _inside(self, box: Box) -> np.ndarray:
        """The segments inside a box, cut to it."""
        low, high = np.searchsorted(self._segments[0], np.array([box.start[1], box.stop[1]], np.int32))
        column, top, bottom, number = self._segments[:, low:high]
        inside = (bottom > box.start[0]) & (top < box.stop[0])
        rows = np.clip(np.stack([top[inside], bottom[inside]]), box.start[0], box.stop[0])
        return np.stack([column[inside], *rows, number[inside]])


def _without_overlap(layers: Sequence[tuple[int, Runs]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs (starts, stops, numbers) in order, of layers (number, runs) of which later ones win; 0 is left out."""
    layers = [(number, runs) for number, runs in layers if len(runs[0])]
    if len(layers) == 1 and layers[0][0]:
        ((number, (starts, lengths)),) = layers
        return starts, starts + lengths, np.full(len(starts), number, np.uint8)
    ends = [each for _, (starts, lengths) in layers for each in (starts, starts + lengths)]
    edges = np.sort(np.concatenate([np.zeros(0, np.int64), *ends]))
    numbers = np.zeros(len(edges), np.uint8)  # of the pixels from each edge to the next
    for number, (starts, lengths) in layers:
        begun, ended = (np.searchsorted(each, edges, "right") for each in (starts, starts + lengths))
        numbers[begun > ended] = number
    kept = np.flatnonzero((numbers > 0) & (np.diff(edges, append=edges[-1:]) > 0))
    return edges[kept], edges[kept + 1], numbers[kept]


def _column_segments(starts: np.ndarray, stops: np.ndarray, numbers: np.ndarray, rows: int) -> np.ndarray:
    """Segments (4, n) int32 of column, first row, last row + 1 and class, sorted, of runs down the columns."""
    parts = [slice(first, first + RUNS_AT_ONCE) for first in range(0, len(starts), RUNS_AT_ONCE)]
    segments = [_split_at_columns(starts[part], stops[part], numbers[part], rows) for part in parts]
    return np.concatenate([np.zeros((4, 0), np.int32), *segments], axis=1)


def _split_at_columns(starts: np.ndarray, stops: np.ndarray, numbers: np.ndarray, rows: int) -> np.ndarray:
    first, last = starts // rows, (stops - 1) // rows
    counts = last - first + 1
    run = np.repeat(np.arange(len(starts)), counts)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    top = np.maximum(starts[run] - column * rows, 0)
    bottom = np.minimum(stops[run] - column * rows, rows)
    return np.stack([column, top, bottom, numbers[run]]).astype(np.int32)


Axis = tuple[int, int, int, int]  # start and stop of a box, number of target cells, number of source cells


def _split(cells: np.ndarray, axis: Axis) -> list[tuple[np.ndarray, np.ndarray]]:
    """Target cells, from that before the box on, and the part of each source cell that lies there; at most two have it.

    Lengths are in units in which a target cell is the number of source cells long, and a source cell that of targets.
    """
    start, _, n_to, n_from = axis
    first = cells * n_to // n_from
    inside = np.minimum((first + 1) * n_from - cells * n_to, n_to)
    shares = [(first - start + 1, inside), (first - start + 2, n_to - inside)]
    return [share for share in shares if share[1].any()]


def _steps(places: np.ndarray, axis: Axis) -> list[tuple[np.ndarray, np.ndarray]]:
    """Target cells of the box and what to add there so that running sums give the length of each past `places`."""
    start, stop, n_to, n_from = axis
    cell, before = np.divmod(np.clip(places * n_to, start * n_from, stop * n_from), n_from)
    steps = [(cell - start, n_from - before), (cell - start + 1, before)]
    return [step for step in steps if step[1].any()]
