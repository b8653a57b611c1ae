"""Faint and small objects removed, small holes filled in a probability map, strip by strip, in any number of axes."""

from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.stitching.components import PieceCounts, StripComponents
from data.stitching.mask import to_classes, to_levels
from data.stitching.mask_rule import MaskRule
from data.stitching.probability_map import ProbabilityMap, copy_map, open_map, strips
from utils.atomic import atomic_path


def clean_map(probabilities: ProbabilityMap, path: Path, rule: MaskRule) -> ProbabilityMap:
    """A copy of the map at `path` whose mask at `rule.extent` is what the rule says.

    Sizes count pixels (voxels) at the network's scale. Objects are joined over corners, holes and what is to be the
    largest object over faces; a hole at the image's border stays. Removed objects become probability 0 and filled holes
    255, so that every product made from the map agrees.
    """
    cleaned, classes = copy_map(probabilities, path), len(probabilities.frame.classes)
    levels, peaks = (to_levels(each, classes) for each in (rule.extent, rule.threshold))
    for channel in range(classes):
        if rule.min_object_px > 1 or peaks[channel] > levels[channel]:
            _remove_objects(cleaned, channel, levels[channel], peaks[channel], rule.min_object_px)
    if rule.largest:
        _keep_largest(cleaned, levels)
    for channel in range(classes):
        if rule.max_hole_px > 0:
            _fill_holes(cleaned, channel, levels, rule.max_hole_px)
    return cleaned


def clean_case(raw: ProbabilityMap, path: Path, rule: MaskRule) -> ProbabilityMap:
    """The cleaned map, kept at `path` once it is whole, or the map itself where nothing is to be cleaned."""
    if rule.is_plain:
        return raw
    with atomic_path(path) as draft:
        clean_map(raw, draft, rule)
    return open_map(path)


def _remove_objects(target: ProbabilityMap, channel: int, level: int, peak: int, min_px: int) -> None:
    """Give objects of fewer pixels, and those that nowhere reach `peak`, the probability 0."""
    pieces = PieceCounts()
    for box in strips(target.shape):
        values = target.read(box)[..., channel]
        pieces.add(values >= level, values >= peak)
    (area, reaching), component = pieces.finish()
    doomed = (area < min_px) | (reaching == 0)
    doomed[0] = False  # the background
    numbering = StripComponents()
    for box in strips(target.shape):
        every = target.read(box)
        values = every[..., channel]
        values[doomed[component[numbering.add(values >= level)]]] = 0
        target.write(box.start[0], np.moveaxis(every, -1, 0))
    target.flush()


def _keep_largest(target: ProbabilityMap, levels: np.ndarray) -> None:
    """Make background of all but the largest object of each class, the first of equals, that the mask shows."""
    numbers = range(1, len(levels) + 1)
    pieces = [PieceCounts(faces_only=True) for _ in numbers]
    for box in strips(target.shape):
        mask = to_classes(target.read(box), levels)
        for number, own in zip(numbers, pieces, strict=True):
            own.add(mask == number)
    doomed = [_all_but_largest(*own.finish()) for own in pieces]
    numberings = [StripComponents(faces_only=True) for _ in numbers]
    for box in strips(target.shape):
        every = target.read(box)
        mask = to_classes(every, levels)
        for number, numbering, gone in zip(numbers, numberings, doomed, strict=True):
            every[gone[numbering.add(mask == number)]] = 0  # of all classes, since the next best one did not win here
        target.write(box.start[0], np.moveaxis(every, -1, 0))
    target.flush()


def _all_but_largest(counts: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Which numbers of pieces belong to no largest component, boolean, from what PieceCounts gives."""
    return (component != counts[0].argmax()) & (component != 0)


def _fill_holes(target: ProbabilityMap, channel: int, levels: np.ndarray, max_px: int) -> None:
    """Give holes of at most so many pixels the probability 255; an object of another class is no hole."""
    pieces = PieceCounts(faces_only=True)
    for box in strips(target.shape):
        pieces.add(target.read(box)[..., channel] < levels[channel], border(box, target.shape))
    (area, at_border), component = pieces.finish()
    filled = (area <= max_px) & (at_border == 0)
    filled[0] = False  # the objects
    numbering = StripComponents(faces_only=True)
    for box in strips(target.shape):
        every = target.read(box)
        chosen = filled[component[numbering.add(every[..., channel] < levels[channel])]] & (every < levels).all(-1)
        every[..., channel][chosen] = 255
        target.write(box.start[0], np.moveaxis(every, -1, 0))
    target.flush()


def border(box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Which cells of a strip (box.size) lie at a border of the whole image, boolean."""
    at_border = np.zeros(box.size, bool)
    for axis, (start, stop, n) in enumerate(zip(box.start, box.stop, shape, strict=True)):
        sides = [0] * (start == 0) + [-1] * (stop == n)
        np.moveaxis(at_border, axis, 0)[sides] = True
    return at_border
