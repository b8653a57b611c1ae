"""A further level for images that have none near the network's scale, so that they are decoded only once."""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from data.patches.grid import Box, whole
from data.sources.source import ScaledSource, Source, best_level
from utils.atomic import named_if_full
from utils.threads import Ahead, reader_count

LEAST_PIXELS = 2**24  # smaller levels are read again rather than copied
LEAST_REDUCTION = 2.0  # so are those that are at most this much larger along each axis than what is wanted
VALUES_AT_ONCE = 2**23  # source pixels times channels that a thread reads for the copy


class WithLevel(Source):
    """An image and one smaller copy of it, which lies on disk as bare bytes and becomes the last level."""

    def __init__(self, source: Source, path: Path, shape: tuple[int, ...]):
        self.source = source
        self.path = path
        self.level_shapes = (*source.level_shapes, shape)
        self.channels = source.channels
        self.spacing_um = source.spacing_um
        self.dtype = source.dtype
        self.grid = source.grid

    @property
    def frame_level0(self) -> tuple[Box, tuple[int, ...]]:
        """As that of the image."""
        return self.source.frame_level0

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels)."""
        if level < len(self.source.level_shapes):
            return self.source.read(box, level)
        # mapped anew for each box, since pages that stay mapped count as memory of this process
        pixels = np.memmap(self.path, self.dtype, "r", shape=(*self.level_shapes[level], self.channels))
        return np.array(pixels[box.slices])

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """As in the image; the copy has none."""
        return self.source.tile_shape(level) if level < len(self.source.level_shapes) else (1,) * len(self.shape)


@contextmanager
def ensure_level(source: Source, shape: tuple[int, ...], folder: Path) -> Iterator[Source]:
    """The image with a level of `shape`, kept in `folder` until the block ends, where reading it twice would be slow.

    That is where even the last level is large and much larger than `shape`; any other image is left as it is. Each
    tile of that level is decoded once. Raises OSError where the disk is full.
    """
    if not is_far(source, shape):
        yield source
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".level-", dir=folder) as room:
        path = Path(room) / "level"  # as `clear_drafts` knows it
        with named_if_full(folder):
            write_scaled(path, ScaledSource(source, shape))
        yield WithLevel(source, path, shape)


def is_far(source: Source, shape: tuple[int, ...]) -> bool:
    """Whether the last level is the best one for `shape` and yet large and much larger than that."""
    level, last = best_level(source, shape), source.level_shapes[-1]
    reduction = max(have / want for have, want in zip(last, shape, strict=True))
    is_last = level == len(source.level_shapes) - 1
    return is_last and reduction > LEAST_REDUCTION and math.prod(last) >= LEAST_PIXELS


def write_scaled(path: Path, view: ScaledSource) -> None:
    """Write an image at the shape of its view as bare bytes (*shape, channels), read in pieces by several threads."""
    pieces, threads = view.pieces(whole(view.shape), VALUES_AT_ONCE), reader_count()
    with path.open("wb") as file, Ahead(view.read, pieces, threads, ahead=2 * threads) as read:
        for (_, rows), row in itertools.groupby(read, key=lambda each: (each[0].start[0], each[0].size[0])):
            band = np.empty((rows, *view.shape[1:], view.source.channels), view.source.dtype)
            for piece, pixels in row:
                band[(slice(None), *piece.slices[1:])] = pixels.result()
            file.write(band.data)
