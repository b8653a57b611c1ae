"""Masks read by region from a probability map and a threshold."""

import numpy as np

from data.patches.grid import Box
from data.stitching.probability_map import MapView
from utils.metrics import threshold_to_level


class MaskView:
    """Class indices of a probability map at a threshold in (0, 1], at the shape of its view."""

    def __init__(self, view: MapView, threshold: float):
        self.view = view
        self.shape = view.shape
        self.level = threshold_to_level(threshold)

    def read(self, box: Box) -> np.ndarray:
        """Class indices box.size uint8: the most probable class that reaches the threshold, or 0."""
        return to_classes(self.view.read(box), self.level)


def to_classes(probabilities: np.ndarray, level: int) -> np.ndarray:
    """Class indices (*spatial) uint8 of probabilities (*spatial, K) uint8; background where none reaches `level`."""
    best = probabilities.argmax(-1)
    reached = probabilities.max(-1) >= level
    return np.where(reached, best + 1, 0).astype(np.uint8)
