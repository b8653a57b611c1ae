"""Objects of a mask that is seen strip by strip: outlines, areas and places, each object once it is complete.

An object is a region of one class. As in the scores and in the post-processing, pixels that touch at a corner belong
together; such an object has several polygons, since one polygon cannot touch itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from data.patches.grid import Box
from data.stitching.mask import MaskView, Threshold
from data.stitching.outlines import Outlines, Ring
from data.stitching.probability_map import MapView, ProbabilityMap, strips
from data.stitching.runs import Runs, Strip, find_runs
from utils.threads import Ahead

STRIP_PX = 2**21  # pixels of level 0 that are looked at together

Polygon = list[np.ndarray]  # its outer ring, then those of its holes: corners (n, 2) int32 of (row, column)
Weigh = Callable[[Runs], np.ndarray]  # the sum of something over the pixels of each run, int64


@dataclass(frozen=True)
class MaskObject:
    """An object in the frame of level 0, where pixel (0, 0) reaches from the corner (0, 0) to the corner (1, 1).

    `first` is the topmost of its pixels, of these the leftmost: no other object of its class has it. `weight` is what
    was summed over its pixels.
    """

    class_index: int
    first: tuple[int, int]
    box: Box
    area_px: int
    centroid: tuple[float, float]
    weight: int
    polygons: list[Polygon]

    def touches_border(self, frame: Box) -> bool:
        """Whether it reaches the border of a frame, so that a part of it may lie outside."""
        starts = zip(self.box.start, frame.start, strict=True)
        stops = zip(self.box.stop, frame.stop, strict=True)
        return any(a <= b for a, b in starts) or any(a >= b for a, b in stops)


def find_objects(probabilities: ProbabilityMap, threshold: Threshold) -> Iterator[MaskObject]:
    """The objects of a map's mask at level 0, from top to bottom by their last row; `weight` is 255 times probability.

    A pixel has the probability of the map's cell in which its middle lies. Memory follows the width of the image and
    the outlines of the objects that a row meets.
    """
    view = probabilities.on_image(probabilities.frame.shape_level0)
    columns = view.shape[1]
    mask, finder = MaskView(view, threshold), ObjectFinder(columns)
    with Ahead(mask.read, strips(view.shape, max(1, STRIP_PX // columns)), ahead=2) as ahead:
        for box, strip in ahead:
            yield from finder.add(strip.result(), partial(probability_sums, view, box.start[0]))
    yield from finder.finish()


def probability_sums(view: MapView, row: int, runs: Runs) -> np.ndarray:
    """Sums over runs, whose row 1 is `row` of the view, of the probabilities of their class, 255 times p, int64."""
    (top, left), (_, width) = view.covered.start, view.covered.size
    own = view.probabilities.shape
    line = (2 * (runs.rows - 1 + row - top) + 1) * own[0] // (2 * view.covered.size[0])
    first, last = int(line.min()), int(line.max())
    values = view.probabilities.read(Box((first, 0), (last - first + 1, own[1]))).astype(np.int64)
    begins = np.maximum(0, -((own[1] - 2 * width * np.arange(own[1] + 1)) // (2 * own[1])))  # of each cell
    before = np.cumsum(values * np.diff(begins)[:, None], axis=1) - values * np.diff(begins)[:, None]

    def up_to(column: np.ndarray) -> np.ndarray:
        cell = np.minimum((2 * (column - left) + 1) * own[1] // (2 * width), own[1] - 1)
        place = line - first, cell, runs.classes - 1
        return before[place] + values[place] * (column - left - begins[cell])

    return up_to(runs.stops) - up_to(runs.starts)


# what is known of objects, a row each, int64: sums (area, twice the moments along rows and columns, weight), the least
# (first pixel, left end) and the most (bottom and right end, class)
SUMS, LEAST, MOST = slice(0, 4), slice(4, 6), slice(6, 9)
NONE = np.zeros(0, np.int64)


class ObjectFinder:
    """Finds the objects of a mask of so many columns, given strip by strip.

    A part is what faces join, an object what corners join too. Open is what the last row meets: parts hold their rings,
    objects the polygons of their parts that are complete.
    """

    def __init__(self, columns: int):
        self.columns = columns
        self._row = 0
        self._above = np.zeros((1, columns + 2), np.uint8)
        self._outlines = Outlines()
        self._part_of_run, self._object_of_part = NONE, NONE  # of the runs of the last row; of open parts
        self._rings: list[list[Ring]] = []  # by open part
        self._polygons: list[list[Polygon]] = []  # by open object
        self._measures = np.zeros((0, MOST.stop), np.int64)  # of open objects

    def add(self, rows: np.ndarray, weigh: Weigh | None = None) -> list[MaskObject]:
        """The objects that end above the last of these new rows (n, columns), class indices uint8."""
        values = np.zeros((len(rows) + 1, self.columns + 2), np.uint8)
        values[:1], values[1:, 1:-1] = self._above, rows
        strip = Strip(values, self._row)
        self._above, self._row = strip.values[-1:], self._row + len(rows)
        return self._join(strip, weigh) if self._rings or rows.any() else []

    def finish(self) -> list[MaskObject]:
        """The objects that the last row meets."""
        return self.add(np.zeros((1, self.columns), np.uint8))

    def _join(self, strip: Strip, weigh: Weigh | None) -> list[MaskObject]:
        runs, known = find_runs(strip), len(self._part_of_run)
        labels = self._label(runs)
        measures = self._measure(runs, strip.row, weigh(runs) if weigh else 0)[known:]
        of_object = np.concatenate([labels.old_objects, labels.objects[labels.runs[known:]]])
        measures = _merge(np.concatenate([self._measures, measures]), of_object)
        rings = _gather(self._rings, labels.old_parts, len(labels.objects))
        closed = self._outlines.add(strip)
        insides = np.array([ring.inside for ring in closed], np.int64)
        for ring, part in zip(closed, labels.runs[runs.at(insides, self.columns + 1)].tolist(), strict=True):
            rings[part].append(ring)
        polygons = _gather(self._polygons, labels.old_objects, len(measures))
        last = labels.runs[runs.rows == len(strip.values) - 1]
        return self._release(labels, last, rings, polygons, measures)

    def _label(self, runs: Runs) -> "_Labels":
        parts, objects, known = len(self._rings), len(self._polygons), len(self._part_of_run)
        faces, corners = runs.touching(self.columns + 1)
        carried = np.stack([self._part_of_run, parts + np.arange(known)])
        part = _components(parts + len(runs.rows), np.concatenate([carried, parts + faces], axis=1))
        count = part.max(initial=-1) + 1
        carried = np.stack([part[:parts], count + self._object_of_part])
        whole = _components(count + objects, np.concatenate([carried, part[parts + corners]], axis=1))
        return _Labels(part[:parts], part[parts:], whole[count:], whole[:count])

    def _measure(self, runs: Runs, row: int, weights: np.ndarray | int) -> np.ndarray:
        rows, length = runs.rows + row - 1, runs.stops - runs.starts
        sums = length, (2 * rows + 1) * length, runs.stops**2 - runs.starts**2, weights
        least, most = (rows * self.columns + runs.starts, runs.starts), (rows + 1, runs.stops, runs.classes)
        return np.stack(np.broadcast_arrays(*sums, *least, *most), axis=-1)

    def _release(
        self,
        labels: "_Labels",
        last: np.ndarray,
        rings: list[list[Ring]],
        polygons: list[list[Polygon]],
        measures: np.ndarray,
    ) -> list[MaskObject]:
        """Keep what the last row meets, by the part of each of its runs, and give the rest."""
        is_open_part, is_open = np.zeros(len(rings), bool), np.zeros(len(polygons), bool)
        is_open_part[last] = True
        is_open[labels.objects[last]] = True
        for part in np.flatnonzero(~is_open_part).tolist():
            polygons[labels.objects[part]].append(_polygon(rings[part]))
        self._part_of_run = (np.cumsum(is_open_part) - 1)[last]
        self._object_of_part = (np.cumsum(is_open) - 1)[labels.objects[is_open_part]]
        self._rings = [rings[part] for part in np.flatnonzero(is_open_part)]
        self._polygons = [polygons[number] for number in np.flatnonzero(is_open)]
        self._measures = measures[is_open]
        done = np.flatnonzero(~is_open)
        bottom, first = measures[done, MOST.start], measures[done, LEAST.start]
        return [self._describe(measures[each], polygons[each]) for each in done[np.lexsort([first, bottom])]]

    def _describe(self, measures: np.ndarray, polygons: list[Polygon]) -> MaskObject:
        area, rows, columns, weight, first, left, bottom, right, number = measures.tolist()
        top, column = divmod(first, self.columns)
        if len(polygons) > 1:
            polygons.sort(key=lambda polygon: polygon[0][0].tolist())
        box = Box((top, left), (bottom - top, right - left))
        return MaskObject(number, (top, column), box, area, (rows / 2 / area, columns / 2 / area), weight, polygons)


@dataclass(frozen=True)
class _Labels:
    """The parts of open parts and of runs; the objects of open objects and of parts."""

    old_parts: np.ndarray
    runs: np.ndarray
    old_objects: np.ndarray
    objects: np.ndarray


def _components(count: int, pairs: np.ndarray) -> np.ndarray:
    """The component 0..n of each of `count` nodes that pairs (2, m) of them join."""
    from scipy import sparse  # prediction begins without it
    from scipy.sparse.csgraph import connected_components

    graph = sparse.coo_matrix((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _merge(measures: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Measures of the objects 0..n, from those of pieces and the object of each."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    ways = [(np.add, SUMS), (np.minimum, LEAST), (np.maximum, MOST)]
    return np.concatenate([way.reduceat(measures[order, columns], starts, axis=0) for way, columns in ways], axis=1)


def _gather(lists: list[list], labels: np.ndarray, count: int) -> list[list]:
    """For each of `count` labels the members of its lists; the largest of these is taken as it is."""
    gathered: list[list] = [[] for _ in range(count)]
    for own, label in zip(lists, labels.tolist(), strict=True):
        more, fewer = (own, gathered[label]) if len(own) > len(gathered[label]) else (gathered[label], own)
        more.extend(fewer)
        gathered[label] = more
    return gathered


def _polygon(rings: list[Ring]) -> Polygon:
    """The outer ring of a part, then its holes from top to bottom."""
    if len(rings) > 1:
        rings.sort(key=lambda ring: (ring.is_hole, *ring.corners[0].tolist()))
    return [ring.corners for ring in rings]
