"""What every image offers, at full resolution and at the scale of the network."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import numpy as np

from data.patches.grid import Box, whole
from data.sources.volume_grid import VolumeGrid
from utils.messages import one_line
from utils.resample import resample_region

VALUES_AT_ONCE = 2**20  # source pixels times channels of one resampling step: what a processor's cache holds


class SourceError(ValueError):
    """An image that cannot be read; the message names the file."""


class TooLargeError(SourceError):
    """A picture of more pixels than are taken."""


@contextmanager
def naming(trouble: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file, which may be any error, into a SourceError."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{trouble} ({one_line(str(error)) or type(error).__name__})") from error


class Source:
    """An image read by region: n spatial axes, then channels.

    `level_shapes[0]` is full resolution (level 0); further levels are smaller copies of the same extent. Pixels are
    0 to 255: uint8, or float32 that is not rounded. `grid` is where the file of a volume lies.
    """

    level_shapes: tuple[tuple[int, ...], ...]
    channels: int
    spacing_um: tuple[float, ...] | None = None
    dtype: np.dtype = np.dtype(np.uint8)
    grid: VolumeGrid | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape at level 0."""
        return self.level_shapes[0]

    @property
    def frame_level0(self) -> tuple[Box, tuple[int, ...]]:
        """Where this image lies in that of its file, and the shape of the latter; all of it unless it is a crop."""
        return whole(self.shape), self.shape

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels) of a box inside the given level; several threads may read at once."""
        raise NotImplementedError

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """Cells of a level that are decoded together, by axis."""
        return (1,) * len(self.shape)

    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class ArraySource(Source):
    """An image in memory; `array` is (*spatial, channels)."""

    def __init__(self, array: np.ndarray, spacing_um: tuple[float, ...] | None = None):
        self.array = array
        self.dtype = array.dtype
        self.level_shapes = (array.shape[:-1],)
        self.channels = array.shape[-1]
        self.spacing_um = spacing_um

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels)."""
        return self.array[box.slices]


class CroppedSource(Source):
    """The part of an image inside a box at level 0 (a camera's border cut away); it has that one level."""

    def __init__(self, source: Source, box_level0: Box):
        if box_level0.within(source.shape) != box_level0:
            raise SourceError(f"DATASETS.CROP {box_level0} reaches past the image of {source.shape}")
        self.source = source
        self.box_level0 = box_level0
        self.level_shapes = (box_level0.size,)
        self.channels = source.channels
        self.spacing_um = source.spacing_um
        self.dtype = source.dtype
        self.grid = source.grid

    @property
    def frame_level0(self) -> tuple[Box, tuple[int, ...]]:
        """The crop's place in the whole image, and the shape of the latter."""
        return self.box_level0, self.source.shape

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels); the box counts from the corner of the crop."""
        return self.source.read(box.shifted(self.box_level0.start))

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """As in the whole image, though the first ones may be cut."""
        return self.source.tile_shape(level)

    def close(self) -> None:
        """Release the file of the whole image."""
        self.source.close()


class ScaledSource:
    """An image seen at another shape, read from the level that suits: the smallest that is not smaller than it."""

    def __init__(self, source: Source, shape: tuple[int, ...]):
        self.source = source
        self.shape = shape
        self.level = best_level(source, shape)
        self.level_shape = source.level_shapes[self.level]

    def read(self, box: Box) -> np.ndarray:
        """Pixels (*box.size, channels) of a box at this shape, averaged over the area of each.

        A box that reaches past the image is filled by mirroring, so that a small image is padded once.
        """
        inside = box.within(self.shape)
        pixels = self._read_inside(inside)
        missing = [(a - b, d - c) for a, b, c, d in zip(inside.start, box.start, inside.stop, box.stop, strict=True)]
        return np.pad(pixels, [*missing, (0, 0)], mode="symmetric") if np.any(missing) else pixels

    def pieces(self, box: Box, values: int) -> list[Box]:
        """Parts of a box, in C order, of about so many `values` each; they meet where tiles of the source do."""
        grown = max(1.0, math.prod(self.shape) / math.prod(self.level_shape))
        most = max(1, int(values / self.source.channels / grown))  # source pixels
        if math.prod(box.size) * math.prod(self.level_shape) <= most * math.prod(self.shape):
            return [box]
        block = block_shape(self.source.tile_shape(self.level), self.level_shape, most)
        axes = zip(box.start, box.stop, block, self.shape, self.level_shape, strict=True)
        places = itertools.product(*(itertools.pairwise(_cuts(*axis)) for axis in axes))
        return [Box(tuple(a for a, _ in place), tuple(b - a for a, b in place)) for place in places]

    def _read_inside(self, box: Box) -> np.ndarray:
        if self.shape == self.level_shape:
            return self.source.read(box, self.level)
        pieces = self.pieces(box, VALUES_AT_ONCE)
        if len(pieces) == 1:
            return self._read_piece(box)
        pixels = np.empty((*box.size, self.source.channels), self.source.dtype)
        for piece in pieces:
            pixels[piece.seen_from(box.start).slices] = self._read_piece(piece)
        return pixels

    def _read_piece(self, box: Box) -> np.ndarray:
        def read(start: tuple[int, ...], stop: tuple[int, ...]) -> np.ndarray:
            size = tuple(b - a for a, b in zip(start, stop, strict=True))
            return self.source.read(Box(start, size), self.level)

        return resample_region(read, self.level_shape, self.shape, box.start, box.stop)


def block_shape(tile: tuple[int, ...], shape: tuple[int, ...], most_cells: int) -> tuple[int, ...]:
    """About the largest block of at most `most_cells` cells of an image of `shape` that whole tiles make up.

    A single tile of more cells is halved along its longest side until it fits.
    """
    size = [min(a, n) for a, n in zip(tile, shape, strict=True)]
    while math.prod(size) > most_cells and max(size) > 1:
        longest = size.index(max(size))
        size[longest] = -(-size[longest] // 2)
    while 2 * math.prod(size) <= most_cells:
        growing = [axis for axis in range(len(size)) if size[axis] < shape[axis]]
        if not growing:
            break
        size[min(growing, key=lambda axis: size[axis])] *= 2
    return tuple(size)


def _cuts(start: int, stop: int, step: int, n_to: int, n_from: int) -> list[int]:
    """Ends of a range of target cells and what lies between of the cells in which every `step` source cells begin."""
    first, last = start * n_from // (n_to * step), stop * n_from // (n_to * step)
    cells = (number * step * n_to // n_from for number in range(first, last + 1))
    return sorted({start, stop, *(cell for cell in cells if start < cell < stop)})


def best_level(source: Source, shape: tuple[int, ...]) -> int:
    """The smallest level that has at least `shape` pixels along every axis; level 0 if none has."""
    fitting = [
        level
        for level, level_shape in enumerate(source.level_shapes)
        if all(have >= want for have, want in zip(level_shape, shape, strict=True))
    ]
    return fitting[-1] if fitting else 0


def model_shape(source: Source, reduction: float | Sequence[float]) -> tuple[int, ...]:
    """Shape of the image divided by `reduction`, one for all axes or one for each.

    It is that of a level within one pixel of it, which is then read as is.
    """
    factors = reduction if isinstance(reduction, Sequence) else (reduction,) * len(source.shape)
    wanted = [n / factor for n, factor in zip(source.shape, factors, strict=True)]
    for level_shape in source.level_shapes:
        if all(abs(have - want) < 1 for have, want in zip(level_shape, wanted, strict=True)):
            return level_shape
    return tuple(max(1, round(n)) for n in wanted)
