"""Volumes that a network of pictures predicts slice by slice."""

from collections.abc import Callable

import numpy as np

from data.patches.grid import Grid

RASTER = 32  # sides of what a network of pictures sees are multiples of it


def slice_grid(shape: tuple[int, ...], largest_px: int, overlap_px: int) -> Grid:
    """Patches one slice deep over a volume (z, row, column), of at most `largest_px` a side, a multiple of RASTER.

    Neighbours in a slice share `overlap_px`.
    """
    sides = tuple(min(RASTER * -(-n // RASTER), largest_px) for n in shape[1:])
    return Grid(shape, (1, *sides), (0, *(min(overlap_px, side - 1) for side in sides)))


class SliceBySlice:
    """Predicts patches one slice deep, (N, C, 1, rows, columns) to (N, K, 1, rows, columns), as pictures."""

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray]):
        self.predict = predict

    @property
    def at_once(self) -> int:
        """How many calls may well run side by side, in threads."""
        return getattr(self.predict, "at_once", 1)

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of the patches."""
        return self.predict(patches[:, :, 0])[:, :, None]
