"""Mean and standard deviation of pixels by channel, gathered image by image."""

import numpy as np


class PixelStatistics:
    """Sums over pixels by channel; sets add up."""

    def __init__(self) -> None:
        self.count = 0
        self.total = np.zeros(0)
        self.squares = np.zeros(0)

    def add_pixels(self, pixels: np.ndarray) -> None:
        """Add an 8-bit image (*spatial, channels)."""
        flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.float32) / 255
        self._add(len(flat), flat.sum(0, dtype=np.float64), (flat**2).sum(0, dtype=np.float64))

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
        return [round(float(value), 6) for value in self.total / max(self.count, 1)]

    @property
    def std(self) -> list[float]:
        """Standard deviation by channel, 0 to 1, at least 1/255 so that it may divide; empty without pixels."""
        variance = self.squares / max(self.count, 1) - (self.total / max(self.count, 1)) ** 2
        return [round(float(value), 6) for value in np.sqrt(np.maximum(variance, 1 / 255**2))]
