"""Slices of volumes as samples for a network of pictures: one voxel deep, and without that axis."""

from dataclasses import dataclass

import numpy as np

from data.patches.dataset import PatchSample
from data.sources.source import Source


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
