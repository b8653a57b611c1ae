"""The slices of a volume as pictures, with the outlines of its prediction in red and of its labels in green."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from data.sources.labels import IGNORE
from data.sources.source import Source
from data.stitching.mask import Threshold
from data.stitching.probability_map import ProbabilityMap
from data.writers.slices import sides_of, slices_of, spacing_of
from utils.atomic import atomic_path

PREDICTION, TRUTH = (255, 40, 40), (0, 210, 60)
LEAST_PX = 512  # a smaller slice is shown with each pixel as a square of several


def slice_path(folder: Path, case_id: str, number: int) -> Path:
    """The picture of a slice, counted from 0."""
    return folder / f"{case_id}-{number:02d}.png"


def remove_slices(folder: Path, case_id: str) -> None:
    """Take away the pictures of a case that an earlier run left."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if re.fullmatch(rf"{re.escape(case_id)}-\d+", path.stem):
            path.unlink()


def write_slices(
    folder: Path,
    case_id: str,
    source: Source,
    labels: Source | None,
    probabilities: ProbabilityMap,
    threshold: Threshold,
) -> None:
    """Write every slice across z; `labels` are None where they are unknown. A line of both is yellow."""
    slices = slices_of(source, 0, min(spacing_of(source)))
    zoom = max(1, round(LEAST_PX / max(sides_of(source)[1:]) * min(spacing_of(source))))
    classes = len(probabilities.frame.classes)
    for number in range(len(slices)):
        truth = None if labels is None else slices.labels(labels, classes, number)
        picture = slices.picture(source, number)
        drawn = outline(picture, slices.mask(probabilities, threshold, number), truth, zoom)
        with atomic_path(slice_path(folder, case_id, number)) as draft:
            Image.fromarray(drawn).save(draft, "PNG")


def outline(picture: np.ndarray, predicted: np.ndarray, truth: np.ndarray | None, zoom: int = 1) -> np.ndarray:
    """A picture (rows, columns, 3) uint8, enlarged, in grey with the rims of masks, class indices (rows, columns).

    Rims are the outermost pixels inside of each class; what is ignored in the truth has none.
    """
    grey = np.repeat(np.rint(picture.mean(-1)).astype(np.uint8)[..., None], 3, -1)
    canvas = _enlarged(grey, zoom)
    rims = [(rim(_enlarged(predicted, zoom)), PREDICTION)]
    if truth is not None:
        rims.append((rim(_enlarged(np.where(truth == IGNORE, 0, truth), zoom)), TRUTH))
    for inside, colour in rims:
        canvas[inside] = colour
    if truth is not None:
        canvas[rims[0][0] & rims[1][0]] = np.maximum(PREDICTION, TRUTH)
    return canvas


def rim(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask beside one of another value, boolean; the picture's border is such a value, too."""
    padded = np.pad(mask, 1)
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (mask > 0) & np.any([each != mask for each in neighbours], axis=0)


def _enlarged(values: np.ndarray, zoom: int) -> np.ndarray:
    return values.repeat(zoom, 0).repeat(zoom, 1)
