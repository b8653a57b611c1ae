"""What every image offers, at full resolution and at the scale of the network."""

from types import TracebackType
from typing import Self

import numpy as np

from data.patches.grid import Box, whole
from utils.resample import resample_region

PIXELS_AT_ONCE = 2**22  # source pixels that one resampling step may hold; larger regions are made in strips


class SourceError(ValueError):
    """An image that cannot be read; the message names the file."""


class Source:
    """An image read by region: n spatial axes, then channels.

    `level_shapes[0]` is full resolution (level 0); further levels are smaller copies of the same extent.
    """

    level_shapes: tuple[tuple[int, ...], ...]
    channels: int
    spacing_um: tuple[float, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape at level 0."""
        return self.level_shapes[0]

    @property
    def frame_level0(self) -> tuple[Box, tuple[int, ...]]:
        """Where this image lies in that of its file, and the shape of the latter; all of it unless it is a crop."""
        return whole(self.shape), self.shape

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels) of a box inside the given level."""
        raise NotImplementedError

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

    @property
    def frame_level0(self) -> tuple[Box, tuple[int, ...]]:
        """The crop's place in the whole image, and the shape of the latter."""
        return self.box_level0, self.source.shape

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels); the box counts from the corner of the crop."""
        return self.source.read(box.shifted(self.box_level0.start))

    def close(self) -> None:
        """Release the file of the whole image."""
        self.source.close()


class ScaledSource:
    """An image seen at another shape, read from the level that suits: the smallest that is not smaller than it."""

    def __init__(self, source: Source, shape: tuple[int, ...]):
        self.source = source
        self.shape = shape
        self.level = best_level(source, shape)

    def read(self, box: Box) -> np.ndarray:
        """Pixels (*box.size, channels) of a box at this shape, averaged over the area of each.

        A box that reaches past the image is filled by mirroring, so that a small image is padded once.
        """
        inside = box.within(self.shape)
        pixels = np.concatenate([self._read_strip(strip) for strip in self._strips(inside)])
        missing = [(a - b, d - c) for a, b, c, d in zip(inside.start, box.start, inside.stop, box.stop, strict=True)]
        return np.pad(pixels, [*missing, (0, 0)], mode="symmetric") if np.any(missing) else pixels

    def _strips(self, box: Box) -> list[Box]:
        level_shape = self.source.level_shapes[self.level]
        row_pixels = (
            np.prod([n * a / b for n, a, b in zip(box.size, level_shape, self.shape, strict=True)]) / box.size[0]
        )
        rows = max(1, int(PIXELS_AT_ONCE / row_pixels))
        starts = range(box.start[0], box.stop[0], rows)
        return [Box((a, *box.start[1:]), (min(rows, box.stop[0] - a), *box.size[1:])) for a in starts]

    def _read_strip(self, box: Box) -> np.ndarray:
        def read(start: tuple[int, ...], stop: tuple[int, ...]) -> np.ndarray:
            size = tuple(b - a for a, b in zip(start, stop, strict=True))
            return self.source.read(Box(start, size), self.level)

        level_shape = self.source.level_shapes[self.level]
        pixels = resample_region(read, level_shape, self.shape, box.start, box.stop)
        if self.shape == level_shape:
            return pixels
        return np.rint(pixels).astype(np.uint8)


def best_level(source: Source, shape: tuple[int, ...]) -> int:
    """The smallest level that has at least `shape` pixels along every axis; level 0 if none has."""
    fitting = [
        level
        for level, level_shape in enumerate(source.level_shapes)
        if all(have >= want for have, want in zip(level_shape, shape, strict=True))
    ]
    return fitting[-1] if fitting else 0


def model_shape(source: Source, reduction: float) -> tuple[int, ...]:
    """Shape of the image divided by `reduction`; that of a level within one pixel of it, which is then read as is."""
    wanted = [n / reduction for n in source.shape]
    for level_shape in source.level_shapes:
        if all(abs(have - want) < 1 for have, want in zip(level_shape, wanted, strict=True)):
            return level_shape
    return tuple(max(1, round(n)) for n in wanted)
