"""Pictures of a few samples with their truth and what a network makes of them; of a volume, its middle slice."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.patches.dataset import Sample
from data.sources.labels import IGNORE
from data.stitching.mask import to_classes
from data.stitching.sliding_window import Predict
from utils.atomic import atomic_path
from utils.metrics import count_confusion
from utils.plots import Row, picture_grid

CANDIDATES = 16  # samples that are looked at to find annotated ones


def write_samples(path: Path, samples: Sequence[Sample], predict: Predict, count: int = 4) -> None:
    """A grid of image, truth and prediction at probability 0.5 for `count` samples, annotated ones first.

    Dice and IoU are those of the whole sample, also where a slice of it is drawn.
    """
    candidates = samples[:: max(1, len(samples) // CANDIDATES)][:CANDIDATES]
    read = [(sample.name, *sample.read()) for sample in candidates]
    read.sort(key=lambda one: not ((one[2] > 0) & (one[2] != IGNORE)).any())
    rows, titles = [], []
    for name, image, truth in read[:count]:
        probabilities = predict(np.moveaxis(image, -1, 0)[None])[0]
        predicted = to_classes(np.moveaxis(np.rint(255 * probabilities), 0, -1), level=128)
        known = truth != IGNORE
        scored = count_confusion((predicted > 0) & known, (truth > 0) & known)
        rows.append(flat_row(image, truth, predicted))
        titles.append(f"{name}   Dice {scored.dice:.3f}, IoU {scored.iou:.3f}")
    with atomic_path(path) as draft:
        picture_grid(rows, titles, draft)


def flat_row(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> Row:
    """A picture, its truth and its prediction; of a volume (z, row, column) the slice in the middle of the truth.

    Without truth it is the middle slice. Intensities become bytes.
    """
    if truth.ndim > 2:
        place = middle_slice(truth)
        return flat_row(image[place], truth[place], predicted[place])
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), truth, predicted


def middle_slice(truth: np.ndarray) -> int:
    """The slice with half of the foreground on either side along the first axis; without any the middle one."""
    areas = ((truth > 0) & (truth != IGNORE)).reshape(len(truth), -1).sum(1).cumsum()
    return int(np.searchsorted(areas, areas[-1] / 2)) if areas[-1] else len(truth) // 2
