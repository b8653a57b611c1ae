"""Faint and small objects removed, small holes filled in a probability map, strip by strip, in any number of axes."""

from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.stitching.components import StripComponents
from data.stitching.mask import to_levels
from data.stitching.mask_rule import MaskRule
from data.stitching.probability_map import ProbabilityMap, copy_map, open_map, strips
from utils.atomic import atomic_path


def clean_map(probabilities: ProbabilityMap, path: Path, rule: MaskRule) -> ProbabilityMap:
    """A copy of the map at `path` whose mask at `rule.extent` is what the rule says.

    Sizes count pixels (voxels) at the network's scale. Objects are joined over corners, holes over faces; a hole at
    the image's border stays. Removed objects become probability 0 and filled holes 255, so that every product made
    from the map agrees.
    """
    cleaned, classes = copy_map(probabilities, path), len(probabilities.frame.classes)
    levels, peaks = (to_levels(each, classes) for each in (rule.extent, rule.threshold))
    for channel in range(classes):
        if rule.min_object_px > 1 or peaks[channel] > levels[channel]:
            _remove_objects(cleaned, channel, levels[channel], peaks[channel], rule.min_object_px)
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
    numbering = StripComponents()
    areas, reaches = [np.zeros(1, np.int64)], [np.zeros(1, bool)]
    for box in strips(target.shape):
        values = target.read(box)[..., channel]
        _note(numbering, values >= level, values >= peak, areas, reaches)
    area, is_good, component = _join(numbering, areas, reaches)
    doomed = ((area < min_px) | ~is_good)[component]
    doomed[0] = False  # the background
    numbering = StripComponents()
    for box in strips(target.shape):
        every = target.read(box)
        values = every[..., channel]
        values[doomed[numbering.add(values >= level)]] = 0
        target.write(box.start[0], np.moveaxis(every, -1, 0))
    target.flush()


def _fill_holes(target: ProbabilityMap, channel: int, levels: np.ndarray, max_px: int) -> None:
    """Give holes of at most so many pixels the probability 255; an object of another class is no hole."""
    numbering = StripComponents(faces_only=True)
    areas, at_border = [np.zeros(1, np.int64)], [np.zeros(1, bool)]
    for box in strips(target.shape):
        outside = target.read(box)[..., channel] < levels[channel]
        _note(numbering, outside, border(box, target.shape), areas, at_border)
    area, is_open, component = _join(numbering, areas, at_border)
    filled = ((area <= max_px) & ~is_open)[component]
    filled[0] = False  # the object
    numbering = StripComponents(faces_only=True)
    for box in strips(target.shape):
        every = target.read(box)
        chosen = filled[numbering.add(every[..., channel] < levels[channel])] & (every < levels).all(-1)
        every[..., channel][chosen] = 255
        target.write(box.start[0], np.moveaxis(every, -1, 0))
    target.flush()


def _note(
    numbering: StripComponents, mask: np.ndarray, marks: np.ndarray, areas: list[np.ndarray], marked: list[np.ndarray]
) -> None:
    """Number the next strip of a mask; add the area of each number, and whether one of its cells has a mark."""
    before = numbering.count
    numbers = numbering.add(mask)
    areas.append(np.bincount(numbers.ravel(), minlength=numbering.count + 1)[before + 1 :])
    found = np.zeros(numbering.count + 1, bool)
    found[numbers[marks]] = True
    marked.append(found[before + 1 :])


def _join(
    numbering: StripComponents, areas: list[np.ndarray], marked: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area and mark of each component, and the component of each number; the background has area 0."""
    component = numbering.merged()
    area = np.bincount(component, weights=np.concatenate(areas)).astype(np.int64)
    has_mark = np.zeros(len(area), bool)
    has_mark[component[np.concatenate(marked)]] = True
    return area, has_mark, component


def border(box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Which cells of a strip (box.size) lie at a border of the whole image, boolean."""
    at_border = np.zeros(box.size, bool)
    for axis, (start, stop, n) in enumerate(zip(box.start, box.stop, shape, strict=True)):
        sides = [0] * (start == 0) + [-1] * (stop == n)
        np.moveaxis(at_border, axis, 0)[sides] = True
    return at_border
