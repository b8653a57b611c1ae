"""Colour images as grey values, for networks of one channel."""

import numpy as np

from data.patches.grid import Box
from data.sources.source import Source

LUMA = np.array([19595, 38470, 7471], np.uint32)  # shares of red, green and blue in 65536 (ITU-R BT.601)


class GreySource(Source):
    """The luma of an RGB image; where red, green and blue are equal, it is that value."""

    channels = 1

    def __init__(self, source: Source):
        self.source = source
        self.level_shapes = source.level_shapes
        self.spacing_um = source.spacing_um
        self.grid = source.grid

    @property
    def frame_level0(self) -> tuple[Box, tuple[int, ...]]:
        """As of the colour image."""
        return self.source.frame_level0

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, 1) uint8 of a box at a level."""
        sums = self.source.read(box, level) @ LUMA + np.uint32(1 << 15)
        return (sums >> 16).astype(np.uint8)[..., None]

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """As of the colour image."""
        return self.source.tile_shape(level)

    def close(self) -> None:
        """Release the file."""
        self.source.close()
