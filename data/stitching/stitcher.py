"""Weighted overlap-add of patches along axis 0, in memory that follows one patch's depth and not the image."""

from collections.abc import Callable

import numpy as np

from data.patches.grid import Box

WriteRows = Callable[[int, np.ndarray], None]


def blend_weights(patch: tuple[int, ...], overlap_px: tuple[int, ...]) -> np.ndarray:
    """Weight of each cell of a patch, float32 in (0, 1]: flat inside, falling linearly towards each side.

    The slope is as wide as the overlap, so that two neighbours cross-fade. Never zero: a cell that only one patch
    covers is divided by its own weight.
    """
    weights = np.ones((), np.float32)
    for size, overlap in zip(patch, overlap_px, strict=True):
        to_border = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1
        axis = np.minimum(to_border / (overlap + 1), 1).astype(np.float32)
        weights = weights[..., None] * axis
    return weights


class Stitcher:
    """Blends probabilities (K, *patch) of boxes that come in C order; finished rows go to `write(row, rows)`.

    Rows are (K, n, *rest) uint8, round(255 p), 0 where nothing was predicted. The sum is divided by the weight that
    was really predicted, never by a count.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: int,
        patch: tuple[int, ...],
        overlap_px: tuple[int, ...],
        write: WriteRows,
    ):
        self.shape = shape
        self.weights = blend_weights(patch, overlap_px)
        self.write = write
        self.row = 0
        self._sums = np.zeros((channels, min(patch[0], shape[0]), *shape[1:]), np.float32)
        self._weights = np.zeros(self._sums.shape[1:], np.float32)

    def add(self, box: Box, probabilities: np.ndarray) -> None:
        """Blend the prediction (K, *box.size) of a box that starts no earlier along axis 0 than the one before it."""
        assert box.start[0] >= self.row, f"{box} comes after row {self.row} was finished"
        self._finish_rows(box.start[0])
        inside = box.within(self.shape)
        own = tuple(slice(0, n) for n in inside.size)
        place = inside.shifted((-self.row, *(0,) * (len(self.shape) - 1))).slices
        self._sums[(slice(None), *place)] += probabilities[(slice(None), *own)] * self.weights[own]
        self._weights[place] += self.weights[own]

    def finish(self) -> None:
        """Write the rows that remain."""
        self._finish_rows(self.shape[0])

    def _finish_rows(self, row: int) -> None:
        while self.row < row:
            count = min(row - self.row, self._sums.shape[1])
            self._write(count)
            for buffer in (self._sums, self._weights[None]):
                buffer[:, : -count or None] = buffer[:, count:].copy() if count < buffer.shape[1] else 0
                buffer[:, buffer.shape[1] - count :] = 0
            self.row += count

    def _write(self, count: int) -> None:
        weights = self._weights[:count]
        if weights.any():
            mean = self._sums[:, :count] / np.where(weights > 0, weights, 1)
            self.write(self.row, np.rint(mean * 255).astype(np.uint8))
