"""Mean and standard deviation of pixels by channel, gathered image by image."""

import numpy as np


class PixelStatistics:
    """Sums over pixels by channel, in whole numbers and therefore exact in any order; sets add up."""

    def __init__(self) -> None:
        self.count = 0
        self.total = np.zeros(0, np.int64)
        self.squares = np.zeros(0, np.int64)

    def add_pixels(self, pixels: np.ndarray) -> None:
        """Add an 8-bit image (*spatial, channels)."""
        channels = pixels.shape[-1]
        lines = pixels.reshape(-1, pixels.shape[-2] * channels)  # sums over long lines first, since channels are few
        squares = np.square(lines, dtype=np.uint16)
        kind = np.min_scalar_type(255**2 * len(lines))
        sums = (each.sum(0, dtype=kind).reshape(-1, channels).sum(0, dtype=np.int64) for each in (lines, squares))
        self._add(pixels.size // channels, *sums)

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
        return [round(float(value), 6) for value in self.total / max(self.count, 1) / 255]

    @property
    def std(self) -> list[float]:
        """Standard deviation by channel, 0 to 1, at least 1/255 so that it may divide; empty without pixels."""
        variance = self.squares / max(self.count, 1) - (self.total / max(self.count, 1)) ** 2
        return [round(float(value), 6) for value in np.sqrt(np.maximum(variance, 1)) / 255]
