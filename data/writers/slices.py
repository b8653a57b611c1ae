"""Slices of volumes as pictures: pixels are square whatever the spacing, and the head is up."""

from dataclasses import dataclass

import numpy as np

from data.patches.grid import Box
from data.sources.labels import ScaledLabels
from data.sources.source import ScaledSource, Source
from data.stitching.mask import MaskView, Threshold
from data.stitching.probability_map import ProbabilityMap

AXES = "z", "row", "column"


@dataclass(frozen=True)
class Slices:
    """The slices of a volume across one of its axes; `shape` is that of the volume with square pixels in each."""

    axis: int
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[self.axis]

    @property
    def picture_shape(self) -> tuple[int, int]:
        """Rows and columns of a picture."""
        rows, columns = (n for axis, n in enumerate(self.shape) if axis != self.axis)
        return rows, columns

    def picture(self, source: Source, number: int) -> np.ndarray:
        """A slice of an image (rows, columns, 3) uint8; of channels that are no colours the first is shown."""
        pixels = ScaledSource(source, self.shape).read(self._box(number))
        pixels = pixels if pixels.shape[-1] == 3 else np.repeat(pixels[..., :1], 3, axis=-1)
        return self._upright(pixels if pixels.dtype == np.uint8 else np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))

    def mask(self, probabilities: ProbabilityMap, threshold: Threshold, number: int) -> np.ndarray:
        """A slice of a predicted mask (rows, columns), class indices uint8."""
        return self._upright(MaskView(probabilities.on_frame(self.shape), threshold).read(self._box(number)))

    def labels(self, labels: Source, classes: int, number: int) -> np.ndarray:
        """A slice of labels (rows, columns), class indices uint8."""
        return self._upright(ScaledLabels(labels, self.shape, classes).read(self._box(number)))

    def _box(self, number: int) -> Box:
        start, size = [0] * len(self.shape), list(self.shape)
        start[self.axis], size[self.axis] = number, 1
        return Box(tuple(start), tuple(size))

    def _upright(self, block: np.ndarray) -> np.ndarray:
        picture = block.take(0, self.axis)
        return picture if self.axis == 0 else np.flip(picture, 0)  # z, which runs towards the head, is its first axis


def slices_of(source: Source, axis: int, pixel: float) -> Slices:
    """The slices across an axis with pixels of the side `pixel`, in um or, without a voxel size, in voxels."""
    spacing = spacing_of(source)
    shape = [max(1, round(n * side / pixel)) for n, side in zip(source.shape, spacing, strict=True)]
    shape[axis] = source.shape[axis]
    return Slices(axis, tuple(shape))


def spacing_of(source: Source) -> tuple[float, ...]:
    """Sides of a voxel in um; of unknown size all are 1."""
    return source.spacing_um or (1.0,) * len(source.shape)


def sides_of(source: Source) -> tuple[float, ...]:
    """Sides of a volume, in um or, without a voxel size, in voxels."""
    return tuple(n * side for n, side in zip(source.shape, spacing_of(source), strict=True))
