"""Labels read by region, never as a whole-slide mask: run lengths and mask images."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Box
from data.sources import open_source
from data.sources.source import ScaledSource, Source, SourceError
from utils.rle import RleError, parse_rle

IGNORE = 255  # class index of pixels that count neither in a loss nor in a score
FULL = 254  # a pixel that is all of one class, before averaging; even, so that rounding leaves exactly a half alone
ToClasses = Callable[[np.ndarray], np.ndarray]


class RleLabels(Source):
    """Class indices from run lengths; `texts` gives the runs of class k + 1 at place k.

    Kept as one segment for each column that a run crosses, so that memory follows the outlines of the objects.
    """

    def __init__(self, texts: list[str], shape: tuple[int, ...]):
        self.level_shapes = (shape,)
        self.channels = 1
        self._classes = [_column_segments(*parse_rle(text, shape[0] * shape[1]), shape[0]) for text in texts]

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Class indices (rows, columns, 1) uint8; where classes overlap, the last one counts."""
        pixels = np.zeros((*box.size, 1), np.uint8)
        for number, segments in enumerate(self._classes, start=1):
            pixels[_paint(segments, box)] = number
        return pixels


def _column_segments(starts: np.ndarray, lengths: np.ndarray, rows: int) -> np.ndarray:
    """Segments (n, 3) of column, first row and last row + 1, sorted by column, of runs down the columns."""
    first, last = starts // rows, (starts + lengths - 1) // rows
    counts = last - first + 1
    run = np.repeat(np.arange(len(starts)), counts)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    top = np.maximum(starts[run] - column * rows, 0)
    bottom = np.minimum((starts + lengths)[run] - column * rows, rows)
    return np.column_stack([column, top, bottom])


def _paint(segments: np.ndarray, box: Box) -> np.ndarray:
    """Boolean (rows, columns) of the segments inside a box."""
    low, high = np.searchsorted(segments[:, 0], [box.start[1], box.stop[1]])
    column, top, bottom = segments[low:high].T
    steps = np.zeros((box.size[0] + 1, box.size[1]), np.int8)
    np.add.at(steps, (np.clip(top - box.start[0], 0, box.size[0]), column - box.start[1]), 1)
    np.add.at(steps, (np.clip(bottom - box.start[0], 0, box.size[0]), column - box.start[1]), -1)
    return np.cumsum(steps[:-1], axis=0, dtype=np.int8) > 0


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
        return (self.labels.read(box) == self.values).astype(np.uint8) * np.uint8(FULL)


class ScaledLabels:
    """Labels at the network's scale: a pixel is foreground if at least half of its area is, of its largest class."""

    def __init__(self, labels: Source, shape: tuple[int, ...], classes: int):
        self.shape = shape
        self._fractions = ScaledSource(_OneHot(labels, classes), shape)

    def read(self, box: Box) -> np.ndarray:
        """Class indices box.size, uint8, 0..K and IGNORE."""
        fractions = self._fractions.read(box)
        parts, ignored = fractions[..., :-1], fractions[..., -1]
        mask = np.where(parts.sum(-1, dtype=np.uint16) >= FULL // 2, parts.argmax(-1) + 1, 0).astype(np.uint8)
        mask[ignored >= FULL // 2] = IGNORE
        return mask
