"""An array on disk in compressed chunks: read through a cache of decoded chunks, written a row of chunks at a time."""

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import imagecodecs
import numpy as np
import zarr
from zarr.codecs import ZstdCodec

CHUNK_CELLS = 2**18  # cells of a chunk, all channels apart: 512 x 512, or 64 x 64 x 64
CACHE_BYTES = 2**23

Place = tuple[slice, ...]


def chunk_side(axes: int) -> int:
    """Cells along each side of a chunk of an array with so many spatial axes."""
    return round(CHUNK_CELLS ** (1 / axes))


class ChunkedArray:
    """A zarr array (K, *shape) uint8 whose chunks hold all K; indexed with a slice an axis, as numpy is.

    The cache holds two rows of chunks, so that whoever reads in C order decodes each chunk once, and at least
    CACHE_BYTES. Chunks are read from their files, since asking zarr takes a millisecond each; one that has no file is
    all 0. Many threads may read; one may write. Raises ValueError if the chunks are of another kind.
    """

    def __init__(self, array: zarr.Array, folder: Path):
        if array.dtype != np.uint8 or [type(each) for each in array.compressors] != [ZstdCodec] or array.filters:
            raise ValueError(f"its chunks are {array.dtype} in {array.compressors}, not uint8 in zstd")
        self.shape: tuple[int, ...] = array.shape
        self._array = array
        self._side = array.chunks[1:]
        across = math.prod(-(-n // side) for n, side in zip(self.shape[2:], self._side[1:], strict=True))
        capacity = max(2 * across, CACHE_BYTES // math.prod(array.chunks))
        self._chunk = lru_cache(capacity)(partial(_load, array, folder))
        self._band = -1  # the row of chunks that is being written
        self._rows: np.ndarray | None = None  # what it holds so far

    def __getitem__(self, place: Place) -> np.ndarray:
        """A copy of the values (K, *size) of a block."""
        self.flush()
        bounds = [part.indices(n)[:2] for part, n in zip(place[1:], self.shape[1:], strict=True)]
        values = np.zeros((self.shape[0], *(b - a for a, b in bounds)), np.uint8)
        for number, here, there in self._parts(bounds):
            chunk = self._chunk(number)
            if chunk is not None:
                values[here] = chunk[there]
        return values[place[0]]

    def __setitem__(self, place: Place, rows: np.ndarray) -> None:
        """Take rows (K, n, *rest) at (all, rows); they are stored once their row of chunks is full, or by `flush`."""
        row, stop = place[1].indices(self.shape[1])[:2]
        while row < stop:
            count = min(stop, self._start_band(row // self._side[0])) - row
            assert self._rows is not None
            within = row - self._band * self._side[0]
            self._rows[:, within : within + count] = rows[:, :count]
            rows, row = rows[:, count:], row + count
            if within + count == self._rows.shape[1]:
                self.flush()

    def flush(self) -> None:
        """Store the rows that wait for others of their row of chunks."""
        if self._rows is not None:
            rows, self._rows = self._rows, None
            start = self._band * self._side[0]
            self._array[:, start : start + rows.shape[1]] = rows
            self._chunk.cache_clear()

    def _start_band(self, band: int) -> int:
        """Make a row of chunks the one that is being written; its last row + 1."""
        start = band * self._side[0]
        stop = min(start + self._side[0], self.shape[1])
        if self._rows is None or band != self._band:
            self._rows = self[:, start:stop, *(slice(None) for _ in self.shape[2:])]
            self._band = band
        return stop

    def _parts(self, bounds: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, ...], Place, Place]]:
        """Chunks that a block touches: number, place in the block, place in the chunk."""
        axes = list(zip(bounds, self._side, strict=True))
        for number in itertools.product(*(range(a // side, -(-b // side)) for (a, b), side in axes)):
            spans = [
                (max(a, i * side), min(b, (i + 1) * side), a, i * side)
                for i, ((a, b), side) in zip(number, axes, strict=True)
            ]
            here = tuple(slice(low - a, high - a) for low, high, a, _ in spans)
            there = tuple(slice(low - first, high - first) for low, high, _, first in spans)
            yield number, (slice(None), *here), (slice(None), *there)


def _load(array: zarr.Array, folder: Path, number: tuple[int, ...]) -> np.ndarray | None:
    """A decoded chunk (K, *side), at the far edges larger than what the array has of it; None if it has no file."""
    try:
        encoded = (folder / array.metadata.encode_chunk_key((0, *number))).read_bytes()
    except FileNotFoundError:
        return None
    return np.frombuffer(imagecodecs.zstd_decode(encoded), np.uint8).reshape(array.chunks)
