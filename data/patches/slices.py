"""Slices of volumes as patches for a network of pictures: one voxel deep, and without that axis for the network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.patches.dataset import PatchSample
from data.patches.grid import Grid
from data.sources.source import Source

RASTER = 32  # sides of what a network of pictures sees are multiples of it


def slice_grid(shape: tuple[int, ...], largest_px: int, overlap_px: int) -> Grid:
    """Patches one slice deep over a volume (z, row, column), of at most `largest_px` a side, a multiple of RASTER.

    Neighbours in a slice share `overlap_px`.
    """
    sides = tuple(min(RASTER * -(-n // RASTER), largest_px) for n in shape[1:])
    return Grid(shape, (1, *sides), (0, *(min(overlap_px, side - 1) for side in sides)))


@dataclass(frozen=True)
class SliceSample(PatchSample):
    """A patch one slice deep, read as a picture."""

    def cut(self, source: Source, labels: Source) -> tuple[np.ndarray, np.ndarray]:
        """Image (rows, columns, channels) and class indices (rows, columns)."""
        image, mask = super().cut(source, labels)
        return image[0], mask

    def cut_mask(self, labels: Source) -> np.ndarray:
        """Class indices (rows, columns)."""
        return super().cut_mask(labels)[0]


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
