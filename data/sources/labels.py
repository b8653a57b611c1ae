"""Labels read by region, never as a whole-slide mask: run lengths, outlined objects and mask images."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Box, scale_box
from data.sources import open_source
from data.sources.class_names import ClassNames
from data.sources.coco import CocoImage
from data.sources.file_name import ending
from data.sources.label_file import LABEL_READERS, read_outlines
from data.sources.named_mask import NamedMask
from data.sources.runs import IGNORE, RunLabels
from data.sources.slice_stack import holds_stack, open_stack_masks
from data.sources.source import VALUES_AT_ONCE, ScaledSource, Source, SourceError
from data.sources.volume import VolumeLabels, is_volume
from data.sources.volume_grid import VolumeGrid
from utils.messages import one_line
from utils.resample import needed_range
from utils.rle import RleError, parse_rle

FULL = 254  # a pixel that is all of one class, before averaging; even, so that rounding leaves exactly a half alone
ToClasses = Callable[[np.ndarray], np.ndarray]


class RleLabels(RunLabels):
    """Class indices from run-length texts, those of class k + 1 at place k; `places` say where they stand."""

    def __init__(self, texts: Sequence[str], shape: tuple[int, ...], places: Sequence[str] = ()):
        layers = []
        for number, text in enumerate(texts, start=1):
            try:
                layers.append((number, parse_rle(text, shape[0] * shape[1])))
            except RleError as error:
                raise RleError(f"{places[number - 1]}: {error}" if places else str(error)) from error
        super().__init__(layers, shape, len(texts))


@contextmanager
def _of_mask() -> Iterator[None]:
    """Say of an error that it is in the mask, whose file often has the name of the image's."""
    try:
        yield
    except SourceError as error:
        raise SourceError(f"its mask {error}") from error


class MaskLabels(Source):
    """Class indices from a mask image, or a folder of slices with masks; `to_classes` maps its pixel values."""

    def __init__(self, path: Path, to_classes: ToClasses):
        self.path = path
        with _of_mask():
            self.mask = open_stack_masks(path) if path.is_dir() else open_source(path)
        self.level_shapes = self.mask.level_shapes[:1]
        self.channels = 1
        self.to_classes = to_classes

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Class indices (*box.size, 1) uint8; raises SourceError on a value that is no class."""
        with _of_mask():
            return self._read(box)

    def _read(self, box: Box) -> np.ndarray:
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
    known = np.zeros(256, bool)
    known[[*range(classes + 1), IGNORE]] = True
    if not known[values].all():
        raise ValueError(
            f"has value {values[~known[values]].min()}; set DATASETS.MASK_THRESHOLD (for example 128) or MASK_VALUES"
        )
    return np.where(values == IGNORE, 1, values).astype(np.uint8) if classes == 1 else values


def open_labels(
    case: Case, shape: tuple[int, ...], names: ClassNames, to_classes: ToClasses, grid: VolumeGrid | None = None
) -> Source:
    """Labels of a case as class indices at level 0 of its image of `shape`; raises SourceError or RleError.

    `grid` is that of a volume, on which its mask must lie, too.
    """
    if case.labels is None:
        raise SourceError(f"{case.image.name} has no labels")
    if isinstance(case.labels, dict):
        places = [case.label_places.get(name, "the label table") for name in names.classes]
        return RleLabels([case.labels.get(name, "") for name in names.classes], shape, places)
    if isinstance(case.labels, NamedMask):
        return _open_mask(case.labels.path, case.labels.to_classes, case.image, shape)
    if isinstance(case.labels, CocoImage) or ending(case.labels) in LABEL_READERS:
        return _open_outlines(case.labels, case.image, shape, names)
    if is_volume(case.labels) and not holds_stack(case.labels):
        if grid is None:
            raise SourceError(f"{case.labels.name} is a volume, its image {case.image.name} is none")
        return VolumeLabels(case.labels, grid, case.image.name, to_classes)
    return _open_mask(case.labels, to_classes, case.image, shape)


def _open_mask(path: Path, to_classes: ToClasses, image: Path, shape: tuple[int, ...]) -> MaskLabels:
    labels = MaskLabels(path, to_classes)
    if labels.shape != shape:
        labels.close()
        raise SourceError(f"its mask {path.name} is {labels.shape}; the image {image.name} is {shape}")
    return labels


def _open_outlines(labels: Path | CocoImage, image: Path, shape: tuple[int, ...], names: ClassNames) -> RunLabels:
    from data.sources.polygons import outline_labels  # shapely, which other labels do without

    file = labels.file if isinstance(labels, CocoImage) else labels
    try:
        if len(shape) != 2:
            raise SourceError(f"holds outlines, which need an image of 2 axes; {image.name} has {len(shape)}")
        return outline_labels(read_outlines(labels, image, shape), shape, names, file.name)
    except SourceError as error:
        raise SourceError(f"{file.name} {one_line(str(error))}") from error
    except RecursionError as error:
        raise SourceError(f"{file.name} holds lists in lists, too deep to be read") from error


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
        self.classes = classes
        self._fractions = ScaledSource(_OneHot(labels, classes), shape)

    def read(self, box: Box) -> np.ndarray:
        """Class indices box.size, uint8, 0..K and IGNORE; areas are measured only where several classes meet."""
        if self.is_empty(box):
            return np.zeros(box.size, np.uint8)
        if isinstance(self.labels, RunLabels) and self._is_reduced:
            return _largest(self.labels.areas(box, self.shape), math.prod(self.labels.shape), self.classes)
        if self.shape == self.labels.shape:
            return self.labels.read(box)[..., 0]
        classes = np.zeros(box.size, np.uint8)
        for piece in self._fractions.pieces(box, VALUES_AT_ONCE):
            classes[piece.seen_from(box.start).slices] = self._read_piece(piece)
        return classes

    def _read_piece(self, box: Box) -> np.ndarray | int:
        ranges = [needed_range(*axis) for axis in zip(box.start, box.stop, self.shape, self.labels.shape, strict=True)]
        pixels = self.labels.read(Box(tuple(a for a, _ in ranges), tuple(b - a for a, b in ranges)))
        if (pixels == pixels.flat[0]).all():
            return int(pixels.flat[0])
        return _largest(np.moveaxis(self._fractions.read(box), -1, 0), FULL, self.classes)

    def is_empty(self, box: Box) -> bool:
        """Whether a box is known to be all background before its pixels are read; False where that is unknown."""
        place = scale_box(box.within(self.shape), self.shape, self.labels.shape)
        return isinstance(self.labels, RunLabels) and self.labels.is_empty(place)

    @property
    def _is_reduced(self) -> bool:
        return all(have >= want for have, want in zip(self.labels.shape, self.shape, strict=True))


def _largest(parts: np.ndarray, full: int, classes: int) -> np.ndarray:
    """The class of the largest of `parts` (planes, *spatial) where those of the classes fill half of `full`, else 0.

    A plane after those of the classes is what is ignored; where it fills half, the pixel is.
    """
    own, ignored = parts[:classes], parts[classes:]
    mask = (2 * own.sum(0, dtype=np.int64) >= full).astype(np.uint8)
    if classes > 1:
        mask *= (own.argmax(0) + 1).astype(np.uint8)
    if len(ignored):
        mask[2 * ignored[0].astype(np.int64) >= full] = IGNORE
    return mask
