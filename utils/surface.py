"""Surfaces of masks of three axes, as areas between voxels, and how much of two surfaces agree (surface Dice).

A surface element lies where eight neighbouring voxels meet that are not all alike; its area is that of the marching
cube of the eight (Lorensen and Cline 1987). Surface Dice at a tolerance is that of Nikolov et al. 2018,
"Deep learning to achieve clinically applicable segmentation of head and neck anatomy for radiotherapy".
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

CORNERS = tuple(itertools.product((0, 1), repeat=3))  # of a cube, in C order
BITS = {corner: 128 >> place for place, corner in enumerate(CORNERS)}  # of a code: those inside are summed
Corner = tuple[int, ...]
Edge = frozenset[Corner]  # of a cube, by its two corners
Triangle = tuple[int, int, int]  # places in a loop


@dataclass(frozen=True)
class SurfaceOverlap:
    """Area of two surfaces together: that within a tolerance of the other one, and all; sums of cases add up."""

    within: float = 0.0
    total: float = 0.0

    def __add__(self, other: "SurfaceOverlap") -> "SurfaceOverlap":
        return SurfaceOverlap(self.within + other.within, self.total + other.total)

    @property
    def dice(self) -> float:
        """Share of the area that agrees; 1 if both masks are empty, 0 if one is."""
        return self.within / self.total if self.total else 1.0


@dataclass(frozen=True)
class Surface:
    """Elements of a surface: places (n, 3), the first of the eight voxels around each, and codes (n,) uint8."""

    places: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> "Surface":
        """The elements among the voxels of a boolean mask (z, row, column); pad it where its border is a surface."""
        codes = np.zeros([n - 1 for n in mask.shape], np.uint8)
        for corner, bit in BITS.items():
            place = tuple(slice(at, at + n) for at, n in zip(corner, codes.shape, strict=True))
            codes += mask[place].view(np.uint8) * np.uint8(bit)
        places = np.argwhere((codes != 0) & (codes != 255))
        return cls(places.astype(np.int32), codes[tuple(places.T)])

    def shifted(self, offset: tuple[int, ...]) -> "Surface":
        """The surface counted from another first voxel."""
        return Surface(self.places + np.array(offset, np.int32), self.codes)

    def near(self, other: "Surface", spacing: tuple[float, ...], tolerance: float) -> SurfaceOverlap:
        """The area of this surface of which the nearest element of the other is no farther than `tolerance`.

        Spacing and tolerance are in one unit.
        """
        areas = element_areas(tuple(spacing))[self.codes]
        if not (len(self.places) and len(other.places)):
            return SurfaceOverlap(0.0, float(areas.sum()))
        from scipy.spatial import cKDTree  # prediction begins without it

        tree = cKDTree(other.places * np.array(spacing))
        bound = tolerance + 1e-6 * min(spacing)  # the tree leaves out what lies at its bound
        distances, _ = tree.query(self.places * np.array(spacing), distance_upper_bound=bound)
        return SurfaceOverlap(float(areas[distances <= tolerance].sum()), float(areas.sum()))


def join_surfaces(parts: list[Surface]) -> Surface:
    """The surface of which each part is a piece."""
    places = [np.zeros((0, 3), np.int32), *(part.places for part in parts)]
    codes = [np.zeros(0, np.uint8), *(part.codes for part in parts)]
    return Surface(np.concatenate(places), np.concatenate(codes))


def surface_overlap(one: Surface, two: Surface, spacing: tuple[float, ...], tolerance: float) -> SurfaceOverlap:
    """How much of two surfaces agrees within a tolerance, both ways; spacing and tolerance are in one unit."""
    return one.near(two, spacing, tolerance) + two.near(one, spacing, tolerance)


@lru_cache(maxsize=64)
def element_areas(spacing: tuple[float, ...]) -> np.ndarray:
    """Area of the surface within a cube for each code (256,), in the square of the spacing's unit.

    A code is the sum of the BITS of the corners inside.
    """
    faces = np.prod(spacing) / np.array(spacing)
    return np.array([np.linalg.norm(normals * faces, axis=1).sum() for normals in _normals()])


@lru_cache(maxsize=1)
def _normals() -> list[np.ndarray]:
    """For each code the normals (triangles, 3) of its triangles, as long as their areas in a cube of side 1."""
    return [
        np.array([normal for loop in _loops(code) for normal in _widest(loop)]).reshape(-1, 3) for code in range(256)
    ]


def _loops(code: int) -> Iterator[np.ndarray]:
    """The closed lines (n, 3) in which the surface of a code meets the faces of its cube, through middles of edges."""
    links = _links(code)
    while links:
        edge = min(links, key=sorted)
        loop = []
        while edge in links:
            loop.append(edge)
            edge = next((each for each in links.pop(edge) if each in links), edge)
        yield np.array([np.mean(sorted(each), axis=0) for each in loop])


def _links(code: int) -> dict[Edge, list[Edge]]:
    """Which edges of a cube lines join across its faces.

    Where the corners of a face alternate, those of the lesser kind in the cube are cut off one by one.
    """
    inside = {corner for corner, bit in BITS.items() if code & bit}
    lesser = inside if len(inside) <= 4 else set(CORNERS) - inside
    links: dict[Edge, list[Edge]] = {}
    for ring in _faces():
        edges = [frozenset(pair) for pair in zip(ring, [*ring[1:], ring[0]], strict=True)]
        cut = [edge for edge in edges if len(edge & lesser) == 1]
        for corner in ring if len(cut) == 4 else ring[:1]:
            pair = [edge for edge in cut if corner in edge] if len(cut) == 4 else cut
            if pair and (len(cut) < 4 or corner in lesser):
                links.setdefault(pair[0], []).append(pair[1])
                links.setdefault(pair[1], []).append(pair[0])
    return links


def _faces() -> Iterator[list[Corner]]:
    """The corners of each face of a cube, around it."""
    for axis, side in itertools.product(range(3), (0, 1)):
        for_two = [(0, 0), (0, 1), (1, 1), (1, 0)]
        yield [(*pair[:axis], side, *pair[axis:]) for pair in for_two]


def _widest(loop: np.ndarray) -> np.ndarray:
    """Normals (triangles, 3), as long as the areas, of the triangles that fill a loop with the largest area."""
    filled = [_normals_of(loop, triangles) for triangles in _triangulations(0, len(loop) - 1)]
    return max(filled, key=lambda normals: round(float(np.linalg.norm(normals, axis=1).sum()), 9))


def _normals_of(loop: np.ndarray, triangles: list[Triangle]) -> np.ndarray:
    one, two, three = loop[np.array(triangles).T]
    return np.cross(two - one, three - one) / 2


def _triangulations(first: int, last: int) -> Iterator[list[Triangle]]:
    """Every way to fill a polygon of the corners `first` to `last` with triangles."""
    if last - first < 2:
        yield []
    for middle in range(first + 1, last):
        halves = itertools.product(_triangulations(first, middle), _triangulations(middle, last))
        yield from ([*before, *after, (first, middle, last)] for before, after in halves)
