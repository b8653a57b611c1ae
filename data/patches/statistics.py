"""Mean and standard deviation of pixels by channel, gathered image by image."""

import math

import numpy as np

STEPS = 16  # of a volume's intensities, which are no whole numbers, between two levels of 0 to 255


class PixelStatistics:
    """Sums over pixels by channel, in whole numbers and therefore exact in any order; sets add up.

    Intensities of volumes are rounded to 1 / STEPS of a level.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = np.zeros(0, np.int64)
        self.squares = np.zeros(0, np.int64)

    def add_pixels(self, pixels: np.ndarray) -> None:
        """Add an image (*spatial, channels): 8-bit, or float32 on the scale of 0 to 255."""
        if pixels.dtype != np.uint8:
            self._add_intensities(pixels)
            return
        channels = pixels.shape[-1]
        lines = pixels.reshape(-1, pixels.shape[-2] * channels)  # sums over long lines first, since channels are few
        squares = np.square(lines, dtype=np.uint16)
        kind = np.min_scalar_type(255**2 * len(lines))
        sums = (each.sum(0, dtype=kind).reshape(-1, channels).sum(0, dtype=np.int64) for each in (lines, squares))
        total, squares = sums
        self._add(pixels.size // channels, total * STEPS, squares * STEPS**2)

    def _add_intensities(self, pixels: np.ndarray) -> None:
        channels = pixels.shape[-1]
        for plane in pixels.reshape(-1, math.prod(pixels.shape[1:-1]), channels):  # no copy of a whole volume
            steps = np.rint(plane * np.float32(STEPS)).astype(np.int64)
            self._add(len(steps), steps.sum(0), np.square(steps).sum(0))

    def add(self, other: "PixelStatistics") -> None:
        """Add the pixels of another set."""
        if other.count:
            self._add(other.count, other.total, other.squares)

    def _add(self, count: int, total: np.ndarray, squares: np.ndarray) -> None:
        self.total = self.total + total if self.count else total
        self.squares = self.squares + squares if self.count else squares
        self.count += count

    @property
    def mean(self) -> list[float]:
        """Mean by channel, 0 to 1; empty without pixels."""
        return [round(float(value), 6) for value in self.total / max(self.count, 1) / (255 * STEPS)]

    @property
    def std(self) -> list[float]:
        """Standard deviation by channel, 0 to 1, at least 1/255 so that it may divide; empty without pixels."""
        variance = self.squares / max(self.count, 1) - (self.total / max(self.count, 1)) ** 2
        return [round(float(value), 6) for value in np.sqrt(np.maximum(variance, STEPS**2)) / (255 * STEPS)]
