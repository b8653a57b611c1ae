"""Small objects removed and small holes filled in a probability map, strip by strip, in any number of axes."""

from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.stitching.components import StripComponents
from data.stitching.probability_map import ProbabilityMap, copy_map, open_map, strips
from utils.atomic import atomic_path
from utils.metrics import threshold_to_level


def clean_map(
    probabilities: ProbabilityMap, path: Path, threshold: float, min_object_px: int, max_hole_px: int
) -> ProbabilityMap:
    """A copy of the map at `path` whose mask at `threshold` has no object below and no hole up to the given sizes.

    Sizes count pixels (voxels) at the network's scale. Objects are joined over corners, holes over faces; a hole at
    the image's border stays. Removed objects become probability 0 and filled holes 255, so that every product made
    from the map agrees.
    """
    cleaned = copy_map(probabilities, path)
    level = threshold_to_level(threshold)
    for channel in range(len(probabilities.frame.classes)):
        if min_object_px > 1:
            _replace_small(cleaned, channel, level, min_object_px - 1, holes=False)
        if max_hole_px > 0:
            _replace_small(cleaned, channel, level, max_hole_px, holes=True)
    return cleaned


def clean_case(
    raw: ProbabilityMap, path: Path, threshold: float, min_object_px: int, max_hole_px: int
) -> ProbabilityMap:
    """The cleaned map, kept at `path` once it is whole, or the map itself where nothing is to be cleaned."""
    if min_object_px <= 1 and max_hole_px <= 0:
        return raw
    with atomic_path(path) as draft:
        clean_map(raw, draft, threshold, min_object_px, max_hole_px)
    return open_map(path)


def _replace_small(target: ProbabilityMap, channel: int, level: int, largest_px: int, holes: bool) -> None:
    """Give components of at most `largest_px` the probability of their surroundings."""
    areas, at_border, component = _measure(target, channel, level, holes)
    small = np.bincount(component, weights=areas) <= largest_px
    if holes:
        small[component[at_border]] = False
    small[component[0]] = False
    doomed = small[component]
    numbering = StripComponents(faces_only=holes)
    for box in strips(target.shape):
        every = target.read(box)
        values = every[..., channel]
        chosen = doomed[numbering.add((values >= level) != holes)]
        if holes:
            chosen &= every.max(-1) < level  # an object of another class is no hole
        every[..., channel][chosen] = 255 if holes else 0
        target.write(box.start[0], np.moveaxis(every, -1, 0))
    target.flush()


def _measure(
    target: ProbabilityMap, channel: int, level: int, holes: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area and touching of the border by strip-wise number, and the component of each number."""
    numbering = StripComponents(faces_only=holes)
    areas, at_border = [np.zeros(1, np.int64)], [np.zeros(1, bool)]
    for box in strips(target.shape):
        before = numbering.count
        numbers = numbering.add((target.read(box)[..., channel] >= level) != holes)
        areas.append(np.bincount(numbers.ravel(), minlength=numbering.count + 1)[before + 1 :])
        touching = np.zeros(numbering.count + 1, bool)
        touching[_border_values(numbers, box, target.shape)] = True
        at_border.append(touching[before + 1 :])
    return np.concatenate(areas), np.concatenate(at_border), numbering.merged()


def _border_values(numbers: np.ndarray, box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in the cells of a strip that lie at a border of the whole image."""
    faces = [np.take(numbers, place, axis).ravel() for axis in range(1, numbers.ndim) for place in (0, -1)]
    if box.start[0] == 0:
        faces.append(numbers[0].ravel())
    if box.stop[0] == shape[0]:
        faces.append(numbers[-1].ravel())
    return np.unique(np.concatenate(faces))
