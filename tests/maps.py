"""Probability maps that tests make of arrays."""

import numpy as np

from data.patches.grid import whole
from data.stitching.probability_map import Frame, ProbabilityMap


class MemoryArray(np.ndarray):
    """An array that is indexed as the chunks on disk are, and has nothing to bring there."""

    def flush(self) -> None:
        """Nothing waits."""


def memory_map(probabilities: np.ndarray, classes: list[str]) -> ProbabilityMap:
    """A map in memory, of an image of its own size; `probabilities` is (K, *shape) uint8."""
    shape = probabilities.shape[1:]
    return ProbabilityMap(probabilities.view(MemoryArray), Frame(whole(shape).start, shape, shape, tuple(classes)))
