"""Weighted overlap-add of patches along axis 0, in memory that follows one patch's depth and not the image."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from data.patches.grid import Box, whole

WriteRows = Callable[[int, np.ndarray], None]
Slope = Callable[[int, int], np.ndarray]  # weights (side,) float32 along one axis of a patch: side, overlap in cells
ROWS_AT_ONCE = 64  # rows that are turned into bytes at a time, to keep intermediate arrays small
GAUSSIAN_SHARE = 0.125  # standard deviation of a Gaussian slope as a share of the patch's side


@lru_cache(maxsize=256)
def linear(size: int, overlap_px: int) -> np.ndarray:
    """Flat, falling linearly to each side; the slope is as wide as the overlap, so that two neighbours cross-fade."""
    to_border = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1
    return np.minimum(to_border / (overlap_px + 1), 1).astype(np.float32)


@lru_cache(maxsize=256)
def gaussian(size: int, overlap_px: int) -> np.ndarray:
    """A bell whose standard deviation is an eighth of the side, whatever the overlap."""
    from_middle = (np.arange(size) - (size - 1) / 2) / (GAUSSIAN_SHARE * size)
    return np.exp(-(from_middle**2) / 2).astype(np.float32)


SLOPES: dict[str, Slope] = {"linear": linear, "gaussian": gaussian}  # by TEST.BLEND


def blend_weights(
    patch: tuple[int, ...], overlap_px: tuple[int, ...], inside: Box | None = None, slope: Slope = linear
) -> np.ndarray:
    """Weight of each cell of a patch, or of a box inside it, float32 in (0, 1]: the product of the slopes by axis.

    Never zero: a cell that only one patch covers is divided by its own weight.
    """
    weights = np.ones((), np.float32)
    for place, size, overlap in zip((inside or whole(patch)).slices, patch, overlap_px, strict=True):
        weights = weights[..., None] * slope(size, overlap)[place]
    return weights


class Stitcher:
    """Blends probabilities (K, *size) of boxes whose starts along axis 0 never decrease; rows go to `write(row, rows)`.

    Boxes may differ in size; none is deeper than `depth` along axis 0, which is what is held in memory.

    Rows are (K, n, *rest) uint8, round(255 p), 0 where nothing was predicted. The sum is divided by the weight that
    was really predicted, never by a count.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: int,
        depth: int,
        overlap_px: tuple[int, ...],
        write: WriteRows,
        slope: Slope = linear,
    ):
        self.shape = shape
        self.overlap_px = overlap_px
        self.write = write
        self.slope = slope
        self.row = 0
        # by start and side along axis 0, of the boxes that reach past the finished rows: their weights on other axes
        self._layers: dict[tuple[int, int], np.ndarray] = {}
        self._sums = np.zeros((channels, min(depth, shape[0]), *shape[1:]), np.float32)

    def add(self, box: Box, probabilities: np.ndarray) -> None:
        """Blend the prediction (K, *box.size) of a box that starts no earlier along axis 0 than the one before it."""
        inside = box.within(self.shape)
        assert inside.start[0] >= self.row, f"{box} comes after row {self.row} was finished"
        self._finish_rows(inside.start[0])
        own = inside.seen_from(box.start)
        place = inside.seen_from((self.row, *(0,) * (len(self.shape) - 1)))
        weights = blend_weights(box.size, self.overlap_px, own, self.slope)
        self._sums[(slice(None), *place.slices)] += probabilities[(slice(None), *own.slices)] * weights
        layer = self._layers.setdefault((box.start[0], box.size[0]), np.zeros(self.shape[1:], np.float32))
        layer[place.slices[1:]] += blend_weights(
            box.size[1:], self.overlap_px[1:], Box(own.start[1:], own.size[1:]), self.slope
        )

    def finish(self) -> None:
        """Write the rows that remain."""
        self._finish_rows(self.shape[0])

    def _finish_rows(self, row: int) -> None:
        while self.row < row:
            count = min(row - self.row, self._sums.shape[1])
            for first in range(0, count, ROWS_AT_ONCE):
                self._write(first, min(ROWS_AT_ONCE, count - first))
            self._shift_rows(count)
            self.row += count
            self._layers = {(at, side): own for (at, side), own in self._layers.items() if at + side > self.row}

    def _shift_rows(self, count: int) -> None:
        """Drop the first `count` rows of the strip; in parts that do not overlap, which copies need no second strip."""
        remaining = self._sums.shape[1] - count
        for first in range(0, remaining, count):
            last = min(first + count, remaining)
            self._sums[:, first:last] = self._sums[:, first + count : last + count]
        self._sums[:, remaining:] = 0

    def _write(self, first: int, count: int) -> None:
        """Hand on `count` rows, of which `first` rows of the strip come before; of no more use in the strip."""
        weights = self._weights(self.row + first, count)
        if weights is not None:
            rows = self._sums[:, first : first + count]
            rows *= 255
            np.divide(rows, weights, out=rows, where=weights > 0)
            self.write(self.row + first, np.rint(rows, out=rows).astype(np.uint8))

    def _weights(self, row: int, count: int) -> np.ndarray | None:
        """The weight that was predicted in some rows, or None; made anew, since to hold it would double the memory."""
        weights = None
        for (start, side), layer in self._layers.items():
            first, stop = max(start, row), min(start + side, row + count)
            if first < stop:
                weights = np.zeros((count, *self.shape[1:]), np.float32) if weights is None else weights
                along = self.slope(side, self.overlap_px[0])[first - start : stop - start]
                weights[first - row : stop - row] += np.multiply.outer(along, layer)
        return weights
