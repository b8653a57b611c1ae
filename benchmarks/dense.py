"""The dense reference: every pixel under four patches of 50 % overlap, glass too, in plain arrays.

Patches lie exactly half a patch apart, on the raster of 32 pixels that prediction keeps to (docs/flow.md).
"""

import itertools

import numpy as np

from data.patches.grid import Box
from data.sources.source import ArraySource, ScaledSource
from data.stitching.sliding_window import Predict
from utils.threads import Ahead


def dense_probabilities(image: np.ndarray, predict: Predict, patch_px: int) -> np.ndarray:
    """Probabilities (*spatial, K) float32 of an image (*spatial, channels)."""
    shape = image.shape[:-1]
    patch, half = (patch_px,) * len(shape), patch_px // 2
    view, weights = ScaledSource(ArraySource(image), shape), rising_weights(patch)
    total, weight = np.zeros((), np.float32), np.zeros((*shape, 1), np.float32)
    starts = itertools.product(*(range(0, max(n - half, 1), half) for n in shape))
    boxes = (Box(start, patch) for start in starts)
    at_once = getattr(predict, "at_once", 1)
    with Ahead(lambda box: predict(np.moveaxis(view.read(box), -1, 0)[None])[0], boxes, at_once, at_once + 1) as ahead:
        for box, probabilities in ahead:
            own = tuple(slice(0, n) for n in box.within(shape).size)
            found = np.moveaxis(probabilities.result(), 0, -1)
            total = total if total.ndim else np.zeros((*shape, found.shape[-1]), np.float32)
            total[box.within(shape).slices] += found[own] * weights[own]
            weight[box.within(shape).slices] += weights[own]
    return total / weight


def rising_weights(patch: tuple[int, ...]) -> np.ndarray:
    """Weights (*patch, 1) that rise linearly from the sides to the middle."""
    weights = np.ones((), np.float32)
    for size in patch:
        weights = weights[..., None] * (np.minimum(np.arange(size), np.arange(size)[::-1]) + 1) / (size / 2 + 1)
    return weights[..., None].astype(np.float32)


def count_agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pixels (2,) int64 that both masks hold and that they hold together, of which Dice is made."""
    both = np.count_nonzero((first == second) & (first > 0))
    return np.array([both, np.count_nonzero(first) + np.count_nonzero(second)])


def dice(counts: np.ndarray) -> float:
    """Dice of counts; 1 where both masks are empty."""
    both, total = counts
    return 2 * both / total if total else 1.0
