"""Scores of masks from counts, histograms and boundary points; two empty masks agree perfectly (Dice 1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = 256  # values of a probability kept as uint8


@dataclass(frozen=True)
class Confusion:
    """Pixels counted true positive, false positive and false negative; counts of cases add up."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def volume_ratio(self) -> float:
        """(TP + FP) / (TP + FN): the predicted over the true volume; 1 if both are 0, infinite if only the true is."""
        predicted, true = self.true_positive + self.false_positive, self.true_positive + self.false_negative
        return math.inf if predicted and not true else _ratio(predicted, true)


def iou_of(dice: float) -> float:
    """The IoU of the pixels that have this Dice; of two epochs the better one is the better by both."""
    return dice / (2 - dice)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def count_confusion(predicted: np.ndarray, truth: np.ndarray) -> Confusion:
    """Confusion of two boolean masks of one shape."""
    both = int(np.count_nonzero(predicted & truth))
    return Confusion(both, int(np.count_nonzero(predicted)) - both, int(np.count_nonzero(truth)) - both)


def probability_histograms(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Counts (2, 256) of uint8 probabilities over the false (row 0) and the true (row 1) pixels of a boolean mask."""
    every = np.bincount(probabilities.ravel(), minlength=LEVELS)
    true = np.bincount(probabilities[truth], minlength=LEVELS)
    return np.stack([every - true, true])


def confusion_at(histograms: np.ndarray, level: int) -> Confusion:
    """Confusion of the mask `probability >= level`, from `probability_histograms`; `level` is 0..255."""
    false_pixels, true_pixels = histograms
    found = int(true_pixels[level:].sum())
    return Confusion(found, int(false_pixels[level:].sum()), int(true_pixels.sum()) - found)


def threshold_curve(histograms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (255,), k / 255 for k = 1..255, and the Dice at each, exact for masks of any size."""
    levels = np.arange(1, LEVELS)
    return levels / (LEVELS - 1), np.array([confusion_at(histograms, int(level)).dice for level in levels])


def best_threshold(histograms: np.ndarray) -> tuple[float, float]:
    """Threshold of the highest Dice and that Dice; of equal ones the middle, which is the safest of a plateau."""
    thresholds, dice = threshold_curve(histograms)
    best = np.flatnonzero(dice >= dice.max() - 1e-12)
    middle = best[len(best) // 2]
    return float(thresholds[middle]), float(dice[middle])


def threshold_to_level(threshold: float) -> int:
    """Smallest uint8 probability that counts as foreground at a threshold in (0, 1]."""
    return max(1, round(threshold * (LEVELS - 1)))


def surface_distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each boundary point (n, axes) to the nearest of `others`, in their own unit."""
    from scipy.spatial import cKDTree  # prediction begins without it

    return cKDTree(others).query(points)[0]


def hausdorff(points: np.ndarray, others: np.ndarray, percentiles: Sequence[float] = (100.0,)) -> tuple[float, ...]:
    """Hausdorff distance of two sets of boundary points (n, axes), or percentiles of it, in their unit.

    0 if both are empty, infinite if one is. A percentile is taken of each direction; the larger counts.
    """
    if len(points) == 0 or len(others) == 0:
        return (0.0 if len(points) == len(others) else float("inf"),) * len(percentiles)
    both = [np.percentile(surface_distances(*pair), percentiles) for pair in ((points, others), (others, points))]
    return tuple(np.max(both, axis=0).tolist())
