"""Outlined objects of a label file, and the pixels inside them: runs down the columns, found once and exactly."""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
import shapely

from data.sources.class_names import ClassNames
from data.sources.outline import Outline, Rings
from data.sources.runs import IGNORE, RunLabels, Runs
from data.sources.source import SourceError

FARTHEST_PX = 2**31  # a coordinate from here on has overflowed somewhere
AT_ONCE = 2**12  # polygons that are filled at a time, to keep intermediate arrays small
CROSSED_AT_ONCE = 2**24  # columns of pixels that edges cross which are filled at a time: about a gigabyte
MOST_CROSSED = 2**24, 2**28  # of a polygon and of an object, which may have many; more would take minutes
PAIRS_AT_ONCE = 2**21  # of edges that are compared at a time
MOST_CROSSINGS = 10_000  # of a ring with itself that are mended: a few seconds
MOST_NEAR, NEAR_EACH = 100_000, 30  # pairs of edges whose boxes meet, in all and besides for each edge
NAMED = 3  # objects that a log line names
log = logging.getLogger(__name__)


def outline_labels(outlines: Iterable[Outline], shape: tuple[int, ...], names: ClassNames, file: str) -> RunLabels:
    """Class indices of an image of `shape` from the objects of `file`; raises SourceError naming an object.

    A pixel belongs to the objects inside which its centre lies. Of several classes the last one of the config counts;
    background takes classes away, and what is to be ignored lies above all.
    """
    layers, mended, empty = _Layers(shape), [], []
    for outline in outlines:
        try:
            has_area = outline.runs is not None or outline.polygons
            index = names.index(outline.class_name) if has_area else 0  # a point or a line may have any class
            if index is not None and outline.runs is not None:
                layers.add_runs(index, outline.runs)
            elif index is not None:
                area, was_valid = find_area(outline)
                _refuse_outside(area, shape)
                _refuse_zigzag(area, shape[1])
                layers.add(index, area)
                mended += [outline.name] * (not was_valid)
                empty += [outline.name] * area.is_empty
        except SourceError as error:
            raise SourceError(f"{outline.name} {error}") from error
    _remark(file, mended, "whose outline crosses itself or its holes: mended")
    _remark(file, empty, "without any area: left out")
    return RunLabels(layers.united(), shape, len(names.classes))


def find_area(outline: Outline) -> tuple[shapely.Geometry, bool]:
    """The valid area of an object, maybe empty, and whether its rings were valid; raises SourceError on bad numbers."""
    for rings in (*outline.polygons, *outline.removed):
        for ring in rings:
            if not (np.abs(ring) < FARTHEST_PX).all():
                raise SourceError(f"has the coordinate {ring[~(np.abs(ring) < FARTHEST_PX)][0]:g}, which is no place")
    area, was_valid = _valid_area(outline.polygons)
    for rings in outline.removed:
        removed, _ = _valid_area([rings])
        if not removed.covers(area):
            area = area.difference(removed)
    return area, was_valid


def _valid_area(polygons: Sequence[Rings]) -> tuple[shapely.Geometry, bool]:
    """All that the outlines enclose without their holes, and whether the rings are valid as they are."""
    parts = [[ring for ring in rings if _is_ring(ring)] for rings in polygons if _is_ring(rings[0])]
    plain = [shapely.Polygon(outline, holes) for outline, *holes in parts]
    area = plain[0] if len(plain) == 1 else shapely.MultiPolygon(plain)
    return (area, True) if area.is_valid else (shapely.union_all([_mended(rings) for rings in parts]), False)


def _mended(rings: Rings) -> shapely.Geometry:
    """The area of an outline and holes that may cross themselves and each other; raises SourceError on a scribble."""
    for ring in rings:
        _refuse_scribble(ring)
    areas = np.array([shapely.Polygon(ring) for ring in rings])
    # all that a ring goes round is inside, however often: where an outline drawn by hand ends, it may cross its begin
    outline, *holes = shapely.make_valid(areas, method="structure", keep_collapsed=False)
    return outline.difference(shapely.union_all(holes))


def _refuse_scribble(ring: np.ndarray) -> None:
    """Refuse a ring that crosses itself so often that to mend it would take minutes and gigabytes."""
    edges = shapely.linestrings(np.stack([ring, np.roll(ring, -1, axis=0)], axis=1))
    tree, near, crossings = shapely.STRtree(edges), 0, 0
    step = max(1, PAIRS_AT_ONCE // len(edges))
    for first in range(0, len(edges), step):
        part = edges[first : first + step]
        near += tree.query(part).shape[1]
        if near <= MOST_NEAR + NEAR_EACH * len(edges):
            crossings += tree.query(part, predicate="crosses").shape[1] // 2
        if near > MOST_NEAR + NEAR_EACH * len(edges) or crossings > MOST_CROSSINGS:
            raise SourceError("crosses itself too often to be mended; draw it anew, as several objects")


def _is_ring(points: np.ndarray) -> bool:
    """Whether there are three points besides one that closes the ring."""
    return len(points) > 3 or (len(points) == 3 and (points[0] != points[-1]).any())


def _refuse_outside(area: shapely.Geometry, shape: tuple[int, ...]) -> None:
    left, top, right, bottom = area.bounds if not area.is_empty else (0, 0, 1, 1)
    if left >= shape[1] or top >= shape[0] or right <= 0 or bottom <= 0:
        raise SourceError(
            f"lies at x {left:g} to {right:g}, y {top:g} to {bottom:g}, outside its image of {shape[1]} x {shape[0]};"
            " outlines are in pixels of full resolution"
        )


def _refuse_zigzag(area: shapely.Geometry, columns: int) -> None:
    """Refuse an object that would take gigabytes or minutes to fill; one of few corners is known to be none."""
    if shapely.get_num_coordinates(area) * columns > MOST_CROSSED[0]:
        crossed = _columns_crossed(shapely.get_parts(area), columns)
        if crossed.max() > MOST_CROSSED[0] or crossed.sum() > MOST_CROSSED[1]:
            raise SourceError(f"goes to and fro over {crossed.sum():.3g} columns of pixels; simplify it")


def _columns_crossed(polygons: np.ndarray, columns: int) -> np.ndarray:
    """How many columns of pixels the edges of each polygon cross, together."""
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    x, is_edge = np.clip(points[:, 0], 0, columns), owner[1:] == owner[:-1]
    return np.bincount(owner[1:][is_edge], np.abs(np.diff(x))[is_edge], len(polygons))


def _remark(file: str, objects: Sequence[str], what: str) -> None:
    if objects:
        more = f" and {len(objects) - NAMED} more" if len(objects) > NAMED else ""
        log.warning("%s: %s%s, %s", file, ", ".join(objects[:NAMED]), more, what)


class _Layers:
    """Gathers the runs of each class index."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self._runs: dict[int, list[Runs]] = {}
        self._waiting: dict[int, list[shapely.Geometry]] = {}

    def add(self, index: int, area: shapely.Geometry) -> None:
        """Take a valid polygon or several."""
        waiting = self._waiting.setdefault(index, [])
        waiting.append(area)
        if len(waiting) >= AT_ONCE:
            self._fill(index, self._waiting.pop(index))

    def add_runs(self, index: int, runs: Runs) -> None:
        """Take runs, in any order; those that overlap are united before they take more room than their pixels."""
        kept = self._runs.setdefault(index, [])
        kept.append(runs)
        if len(kept) > 1 and sum(len(starts) for starts, _ in kept) > CROSSED_AT_ONCE:
            self._runs[index] = [unite(kept)]

    def _fill(self, index: int, areas: Sequence[shapely.Geometry]) -> None:
        polygons = shapely.get_parts(np.asarray(areas))
        batch = np.cumsum(_columns_crossed(polygons, self.shape[1])) // CROSSED_AT_ONCE
        for part in np.split(polygons, np.flatnonzero(np.diff(batch)) + 1):
            self.add_runs(index, fill(list(part), self.shape))

    def united(self) -> list[tuple[int, Runs]]:
        """Each index with its runs, classes first, then background, then what is ignored."""
        for index, areas in self._waiting.items():
            self._fill(index, areas)
        self._waiting = {}
        order = sorted(self._runs, key=lambda index: index or IGNORE - 0.5)
        return [(index, unite(self._runs.pop(index))) for index in order]


def unite(parts: Sequence[Runs]) -> Runs:
    """Runs of all pixels that lie in any of the given ones, ascending."""
    starts = np.concatenate([part[0] for part in parts])
    stops = starts + np.concatenate([part[1] for part in parts])
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    begins = np.flatnonzero(np.concatenate([[True] * (len(starts) > 0), starts[1:] > reach[:-1]]))
    ends = np.append(begins[1:], len(starts))[: len(begins)] - 1
    return starts[begins], reach[ends] - starts[begins]


def fill(areas: Sequence[shapely.Geometry], shape: tuple[int, ...]) -> Runs:
    """Runs (starts, lengths) down the columns of the pixels of an image whose centre lies inside valid polygons.

    A centre on an outline is inside where the polygon lies below or to the right, so that polygons that share an edge
    share no pixel. Each polygon has runs of its own, which may overlap those of others; the order is that of polygons.
    """
    rows, columns = shape
    owner, left, right = _edges(shapely.get_parts(np.asarray(areas)))
    first, stop = (np.ceil(np.clip(points[:, 0] - 0.5, 0, columns)).astype(np.int64) for points in (left, right))
    counts = stop - first
    edge = np.repeat(np.arange(len(counts)), counts)
    column = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, reach = left[edge], right[edge] - left[edge]
    y = start[:, 1] + (column + 0.5 - start[:, 0]) / reach[:, 0] * reach[:, 1]
    row = np.ceil(np.clip(y - 0.5, 0, rows)).astype(np.int64)
    # the outline of a polygon crosses the middle of a column an even number of times: in and out by turns
    crossings = np.sort((owner[edge] * columns + column) * (rows + 1) + row)
    line, top = np.divmod(crossings[::2], rows + 1)
    length = crossings[1::2] - crossings[::2]
    kept = length > 0
    return (line % columns * rows + top)[kept], length[kept]


def _edges(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Polygon number and both ends (n, 2), the left one first, of each edge of the rings of polygons."""
    polygons = polygons[~shapely.is_empty(polygons)]
    if not len(polygons):
        return np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 2))
    _, points, (ring_starts, polygon_starts) = shapely.to_ragged_array(polygons, include_z=False)
    ring = np.repeat(np.arange(len(ring_starts) - 1), np.diff(ring_starts))
    number = np.repeat(np.arange(len(polygons)), np.diff(polygon_starts))[ring]
    is_edge = ring[1:] == ring[:-1]
    ends = np.stack([points[:-1], points[1:]])[:, is_edge]
    ends = np.where(ends[0, :, :1] <= ends[1, :, :1], ends, ends[::-1])  # an edge is cut alike from both of its sides
    return number[:-1][is_edge], ends[0], ends[1]
