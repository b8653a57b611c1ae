"""Three orthogonal views of a volume beside one another, with its masks, as one picture."""

import numpy as np

from data.sources.labels import IGNORE, ScaledLabels
from data.sources.source import Source
from data.stitching.mask import MaskView, Threshold
from data.stitching.probability_map import ProbabilityMap, strips
from data.writers.slices import Slices, sides_of, slices_of, spacing_of

GAP_PX = 8  # between two views
ZOOM = 8.0  # a small volume is enlarged up to this factor


def orthogonal_masks(
    source: Source, labels: Source | None, probabilities: ProbabilityMap, threshold: Threshold, longest_px: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Image (rows, columns, 3) uint8, true and predicted class indices of three views, at most `longest_px` wide.

    From left to right slices across z, row and column: each the one with most foreground of the labels, of the
    prediction where these have none. A mask of objects on both sides of the body has nothing at its centre of mass.
    """
    views, classes = _views(source, longest_px), len(probabilities.frame.classes)
    places = widest_places(labels, probabilities, threshold, source.shape)
    seen = list(zip(views, places, strict=True))
    picture = _beside([view.picture(source, place) for view, place in seen])
    truth = None if labels is None else _beside([view.labels(labels, classes, place) for view, place in seen])
    return picture, truth, _beside([view.mask(probabilities, threshold, place) for view, place in seen])


def widest_places(
    labels: Source | None, probabilities: ProbabilityMap, threshold: Threshold, shape: tuple[int, ...]
) -> list[int]:
    """By axis the slice of an image of `shape` with most foreground of its labels or else of the predicted mask.

    It is the middle one where there is no foreground; counted at the network's scale.
    """
    counts = [np.zeros((2, n), np.int64) for n in probabilities.shape]
    mask = MaskView(probabilities.on_frame(probabilities.shape), threshold)
    view = None if labels is None else ScaledLabels(labels, mask.shape, len(probabilities.frame.classes))
    for box in strips(mask.shape):
        predicted = mask.read(box)
        truth = np.zeros_like(predicted) if view is None else view.read(box)
        for which, found in enumerate(((truth > 0) & (truth != IGNORE), predicted > 0)):
            for axis, own in enumerate(counts):
                others = tuple(each for each in range(found.ndim) if each != axis)
                own[which, box.slices[axis]] += np.count_nonzero(found, others)
    return [_place(own, n) for own, n in zip(counts, shape, strict=True)]


def _place(counts: np.ndarray, length: int) -> int:
    """The slice of `length` where the first row of counts (2, n) is largest that has any; the middle if none has."""
    for own in counts:
        if own.any():
            return int((int(own.argmax()) + 0.5) * length / len(own))
    return length // 2


def _views(source: Source, longest_px: int) -> list[Slices]:
    """The slices across each axis, of one pixel size."""
    deep, high, wide = sides_of(source)
    pixel = max((2 * wide + high) / max(1, longest_px - 2 * GAP_PX), min(spacing_of(source)) / ZOOM, deep / longest_px)
    return [slices_of(source, axis, pixel) for axis in range(3)]


def _beside(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures (rows, columns[, 3]) side by side on black, their middles at one height."""
    height = max(len(each) for each in pictures)
    padded = []
    for place, each in enumerate(pictures):
        above = (height - len(each)) // 2
        sides = [(above, height - len(each) - above), (GAP_PX * (place > 0), 0)]
        padded.append(np.pad(each, sides + [(0, 0)] * (each.ndim - 2)))
    return np.concatenate(padded, axis=1)
