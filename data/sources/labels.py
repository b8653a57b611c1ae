"""Labels read by region, never as a whole-slide mask: run lengths and mask images."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Box, scale_box
from data.sources import open_source
from data.sources.source import VALUES_AT_ONCE, ScaledSource, Source, SourceError
from utils.resample import needed_range
from utils.rle import RleError, parse_rle

IGNORE = 255  # class index of pixels that count neither in a loss nor in a score
FULL = 254  # a pixel that is all of one class, before averaging; even, so that rounding leaves exactly a half alone
RUNS_AT_ONCE = 2**17  # runs that are turned into segments at a time, to keep intermediate arrays small
ToClasses = Callable[[np.ndarray], np.ndarray]


class RleLabels(Source):
    """Class indices from run lengths; `texts` gives the runs of class k + 1 at place k.

    Kept as one segment for each column that a run crosses, so that memory follows the outlines of the objects. Where
    classes overlap, the last one counts.
    """

    def __init__(self, texts: list[str], shape: tuple[int, ...]):
        self.level_shapes = (shape,)
        self.channels = 1
        self.classes = len(texts)
        runs = [parse_rle(text, shape[0] * shape[1]) for text in texts]
        self._segments = _column_segments(*_without_overlap(runs), shape[0])

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Class indices (rows, columns, 1) uint8."""
        column, top, bottom, number = (part.astype(np.int64) for part in self._inside(box))
        first = (column - box.start[1]) * box.size[0] - box.start[0]
        ends = np.column_stack([first + top, first + bottom]).ravel()
        values = np.zeros(len(ends) + 1, np.uint8)
        values[1::2] = number
        flat = np.repeat(values, np.diff(ends, prepend=0, append=math.prod(box.size)))
        return np.ascontiguousarray(flat.reshape(box.size[::-1]).T)[..., None]

    def areas(self, box: Box, shape: tuple[int, ...]) -> np.ndarray:
        """Area of each class in the cells of a box at a `shape` no larger than level 0: (classes, *box.size) int64.

        A full cell has an area of the product of the sides of level 0, so that all areas are whole numbers.
        """
        rows, columns = zip(box.start, box.stop, shape, self.shape, strict=True)
        (top_px, bottom_px), (left_px, right_px) = needed_range(*rows), needed_range(*columns)
        segments = self._inside(Box((top_px, left_px), (bottom_px - top_px, right_px - left_px)))
        column, top, bottom, number = (part.astype(np.int64) for part in segments)
        size = self.classes, box.size[1] + 2, box.size[0] + 2
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


def _without_overlap(runs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs (starts, stops, class indices) in order, from those of each class (starts, lengths); later classes win."""
    if len(runs) == 1:
        ((starts, lengths),) = runs
        return starts, starts + lengths, np.ones(len(starts), np.uint8)
    edges = np.sort(np.concatenate([each for starts, lengths in runs for each in (starts, starts + lengths)]))
    numbers = np.zeros(len(edges), np.uint8)  # of the pixels from each edge to the next
    for number, (starts, lengths) in enumerate(runs, start=1):
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


class MaskLabels(Source):
    """Class indices from a mask image of the size of its image; `to_classes` maps its pixel values."""

    def __init__(self, path: Path, to_classes: ToClasses):
        self.path = path
        self.mask = open_source(path)
        self.level_shapes = self.mask.level_shapes[:1]
        self.channels = 1
        self.to_classes = to_classes

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Class indices (*box.size, 1) uint8; raises SourceError on a value that is no class."""
        values = self.mask.read(box)
        if (values[..., 1:] != values[..., :1]).any():
            raise SourceError(f"{self.path.name} is a colour image; a mask has one value a pixel")
        try:
            return self.to_classes(values[..., :1])
        except ValueError as error:
            raise SourceError(f"{self.path.name} {error}") from error

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """As in the mask image."""
        return self.mask.tile_shape(level)

    def close(self) -> None:
        """Release the mask's file."""
        self.mask.close()


def build_mask_rule(cfg: CfgNode) -> ToClasses:
    """How the values of a mask image become class indices 0..K, as DATASETS.MASK_THRESHOLD and MASK_VALUES say."""
    if cfg.DATASETS.MASK_THRESHOLD:
        return partial(by_threshold, threshold=cfg.DATASETS.MASK_THRESHOLD)
    if cfg.DATASETS.MASK_VALUES:
        return partial(by_values, class_values=cfg.DATASETS.MASK_VALUES)
    return partial(by_class, classes=len(cfg.DATASETS.CLASSES))


def by_threshold(values: np.ndarray, threshold: int) -> np.ndarray:
    """1 where a value is at least `threshold`."""
    return (values >= threshold).astype(np.uint8)


def by_values(values: np.ndarray, class_values: list[list[int]]) -> np.ndarray:
    """K + 1 where a value is one of `class_values[k]`, else 0."""
    table = np.zeros(256, np.uint8)
    for number, members in enumerate(class_values, start=1):
        table[list(members)] = number
    return table[values]


def by_class(values: np.ndarray, classes: int) -> np.ndarray:
    """The values themselves, 0..K and IGNORE; with one class 255 is foreground, as in masks of 0 and 255."""
    strange = np.setdiff1d(values, [*range(classes + 1), IGNORE])
    if strange.size:
        raise ValueError(f"has value {strange[0]}; set DATASETS.MASK_THRESHOLD (for example 128) or MASK_VALUES")
    return np.where(values == IGNORE, 1, values).astype(np.uint8) if classes == 1 else values


def open_labels(case: Case, shape: tuple[int, ...], classes: list[str], to_classes: ToClasses) -> Source:
    """Labels of a case as class indices at level 0 of its image of `shape`; raises SourceError or RleError."""
    if case.labels is None:
        raise SourceError(f"{case.image.name} has no labels")
    if isinstance(case.labels, dict):
        try:
            return RleLabels([case.labels.get(name, "") for name in classes], shape)
        except RleError as error:
            raise RleError(f"in the label table: {error}") from error
    labels = MaskLabels(case.labels, to_classes)
    if labels.shape != shape:
        labels.close()
        raise SourceError(f"{case.labels.name} is {labels.shape}; its image {case.image.name} is {shape}")
    return labels


class _OneHot(Source):
    """Class indices as 0 or FULL in one channel a class, then one for IGNORE: their area average is a fraction."""

    def __init__(self, labels: Source, classes: int):
        self.labels = labels
        self.level_shapes = labels.level_shapes
        self.values = np.array([*range(1, classes + 1), IGNORE], np.uint8)
        self.channels = classes + 1

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        return (self.labels.read(box) == self.values).view(np.uint8) * np.uint8(FULL)

    def tile_shape(self, level: int) -> tuple[int, ...]:
        return self.labels.tile_shape(level)


class ScaledLabels:
    """Labels at the network's scale: a pixel is foreground if at least half of its area is, of its largest class."""

    def __init__(self, labels: Source, shape: tuple[int, ...], classes: int):
        self.labels = labels
        self.shape = shape
        self._fractions = ScaledSource(_OneHot(labels, classes), shape)

    def read(self, box: Box) -> np.ndarray:
        """Class indices box.size, uint8, 0..K and IGNORE; areas are measured only where several classes meet."""
        if self.is_empty(box):
            return np.zeros(box.size, np.uint8)
        if isinstance(self.labels, RleLabels) and self._is_reduced:
            return _largest(self.labels.areas(box, self.shape), math.prod(self.labels.shape))
        classes = np.zeros(box.size, np.uint8)
        for piece in self._fractions.pieces(box, VALUES_AT_ONCE):
            classes[piece.seen_from(box.start).slices] = self._read_piece(piece)
        return classes

    def _read_piece(self, box: Box) -> np.ndarray | int:
        ranges = [needed_range(*axis) for axis in zip(box.start, box.stop, self.shape, self.labels.shape, strict=True)]
        pixels = self.labels.read(Box(tuple(a for a, _ in ranges), tuple(b - a for a, b in ranges)))
        if (pixels == pixels.flat[0]).all():
            return int(pixels.flat[0])
        fractions = np.moveaxis(self._fractions.read(box), -1, 0)
        mask = _largest(fractions[:-1], FULL)
        mask[fractions[-1] >= FULL // 2] = IGNORE
        return mask

    def is_empty(self, box: Box) -> bool:
        """Whether a box is known to be all background before its pixels are read; False where that is unknown."""
        place = scale_box(box.within(self.shape), self.shape, self.labels.shape)
        return isinstance(self.labels, RleLabels) and self.labels.is_empty(place)

    @property
    def _is_reduced(self) -> bool:
        return all(have >= want for have, want in zip(self.labels.shape, self.shape, strict=True))


def _largest(parts: np.ndarray, full: int) -> np.ndarray:
    """The class of the largest of `parts` (classes, *spatial) where their sum is at least half of `full`, else 0."""
    mask = (2 * parts.sum(0, dtype=np.int64) >= full).astype(np.uint8)
    return mask if len(parts) == 1 else mask * (parts.argmax(0) + 1).astype(np.uint8)
