"""The picture of a case: its image with the outlines of prediction and truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.patches.grid import whole
from data.patches.tissue import shrunk_shape
from data.sources.labels import ScaledLabels
from data.sources.source import ScaledSource, Source
from data.stitching.mask import MaskView, Threshold
from data.stitching.probability_map import ProbabilityMap
from data.writers.views import orthogonal_masks
from utils.atomic import atomic_path
from utils.colour_key import add_colour_key
from utils.pictures import save_picture
from utils.plots import class_colours, draw_areas, draw_outlines


def write_overlay(
    path: Path, picture: np.ndarray, truth: np.ndarray | None, predicted: np.ndarray, classes: Sequence[str] = ()
) -> None:
    """Write a picture with the outlines of its masks, as `small_masks` gives them.

    Several classes have a colour each and a key below the picture; the wide line is that of the labels.
    """
    masks = {"prediction": predicted} if truth is None else {"truth": truth, "prediction": predicted}
    drawn = draw_outlines(picture, masks, by_class=len(classes) > 1)
    with atomic_path(path) as draft:
        save_picture(draft, add_colour_key(drawn, classes) if len(classes) > 1 else drawn, quality=88)


def write_labels(path: Path, source: Source, labels: Source, classes: Sequence[str], longest_px: int) -> None:
    """Write a picture of labels as coloured areas over their image, at most `longest_px` along a side.

    Several classes have a key below it.
    """
    shape = shrunk_shape(source.shape, longest_px)
    mask = ScaledLabels(labels, shape, len(classes)).read(whole(shape))
    drawn = draw_areas(ScaledSource(source, shape).read(whole(shape)), mask, list(class_colours(classes).values()))
    with atomic_path(path) as draft:
        save_picture(draft, add_colour_key(drawn, classes) if len(classes) > 1 else drawn, quality=88)


def small_masks(
    source: Source, labels: Source | None, probabilities: ProbabilityMap, threshold: Threshold, longest_px: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Image (rows, columns, 3) uint8, true and predicted class indices, at most `longest_px` along a side.

    `labels` are None where unknown, and so is the true mask then. Of a volume it is three views beside one another.
    """
    if len(source.shape) == 3:
        return orthogonal_masks(source, labels, probabilities, threshold, longest_px)
    shape = shrunk_shape(source.shape, longest_px)
    everything = whole(shape)
    picture = ScaledSource(source, shape).read(everything)
    picture = np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture
    truth = None
    if labels is not None:
        truth = ScaledLabels(labels, shape, len(probabilities.frame.classes)).read(everything)
    return picture, truth, MaskView(probabilities.on_frame(shape), threshold).read(everything)
