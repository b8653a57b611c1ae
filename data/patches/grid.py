"""Boxes and grids of patches in any number of axes: places only, no pixels and no files."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

WHOLE_MULTIPLE = 8  # of the sides of a patch that holds a whole image


@dataclass(frozen=True)
class Box:
    """A block of an image: first cell and number of cells by axis, (row, column) or (z, row, column)."""

    start: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def stop(self) -> tuple[int, ...]:
        """One past the last cell by axis."""
        return tuple(a + n for a, n in zip(self.start, self.size, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the box in an array of the whole image."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def within(self, shape: tuple[int, ...]) -> "Box":
        """The part of the box that lies inside an image of `shape`; sizes may come out 0."""
        start = tuple(min(max(a, 0), n) for a, n in zip(self.start, shape, strict=True))
        stop = tuple(min(max(b, 0), n) for b, n in zip(self.stop, shape, strict=True))
        return Box(start, tuple(b - a for a, b in zip(start, stop, strict=True)))

    def shifted(self, offset: tuple[int, ...]) -> "Box":
        """The box moved by `offset` cells."""
        return Box(tuple(a + d for a, d in zip(self.start, offset, strict=True)), self.size)

    def seen_from(self, corner: tuple[int, ...]) -> "Box":
        """The box counted from another first cell, as in an array of the part of the image that begins there."""
        return self.shifted(tuple(-a for a in corner))


def whole(shape: tuple[int, ...]) -> Box:
    """The box of a whole image."""
    return Box((0,) * len(shape), shape)


def scale_box(box: Box, shape_from: tuple[int, ...], shape_to: tuple[int, ...]) -> Box:
    """The smallest box at `shape_to` that covers `box` at `shape_from`; both shapes are of the same image."""
    axes = list(zip(box.start, box.stop, shape_from, shape_to, strict=True))
    start = tuple(a * n_to // n_from for a, _, n_from, n_to in axes)
    stop = tuple(-(-b * n_to // n_from) for _, b, n_from, n_to in axes)
    return Box(start, tuple(b - a for a, b in zip(start, stop, strict=True)))


@dataclass(frozen=True)
class Grid:
    """Patches of one size that cover an image, spread evenly, the last one exactly at the edge.

    Neighbours share at least `overlap_px` cells. An axis shorter than the patch has one patch that reaches past its
    end or, with `centred`, past both ends; whoever reads it pads once. Iteration runs in C order, so that starts along
    axis 0 never decrease.
    """

    shape: tuple[int, ...]
    patch: tuple[int, ...]
    overlap_px: tuple[int, ...]
    centred: bool = False

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.patch) == len(self.overlap_px):
            raise ValueError(f"grid axes differ: shape {self.shape}, patch {self.patch}, overlap {self.overlap_px}")
        if any(not 0 <= o < p for o, p in zip(self.overlap_px, self.patch, strict=True)):
            raise ValueError(f"overlap {self.overlap_px} must be at least 0 and smaller than the patch {self.patch}")

    def starts(self, axis: int) -> list[int]:
        """First cells of the patches along one axis."""
        free = self.shape[axis] - self.patch[axis]
        if free <= 0:
            return [free // 2 if self.centred else 0]
        steps = -(-free // (self.patch[axis] - self.overlap_px[axis]))
        return [i * free // steps for i in range(steps + 1)]

    def __iter__(self) -> Iterator[Box]:
        for start in itertools.product(*(self.starts(axis) for axis in range(len(self.shape)))):
            yield Box(start, self.patch)

    def between(self) -> Iterator[Box]:
        """Patches of a second grid, half a step from this one along every axis, in C order; none if it has one patch.

        An axis with a single patch keeps it.
        """
        axes = [self.starts(axis) for axis in range(len(self.shape))]
        if max(len(starts) for starts in axes) > 1:
            middles = ([(a + b) // 2 for a, b in itertools.pairwise(starts)] or starts for starts in axes)
            yield from (Box(start, self.patch) for start in itertools.product(*middles))

    def __len__(self) -> int:
        count = 1
        for axis in range(len(self.shape)):
            count *= len(self.starts(axis))
        return count


@dataclass(frozen=True)
class Windows:
    """Patches of fixed sides that slide over an image; without sides, one patch that holds the whole of it.

    An image lies in the middle of a patch that is larger, as whole volumes do in training: networks see the difference.
    Neighbours share `overlap_px` cells by axis or, where that is empty, the share `overlap` (0 to below 1) of a side.
    """

    sides: tuple[int, ...] = ()
    overlap_px: tuple[int, ...] = ()
    overlap: float = 0.5

    def over(self, shape: tuple[int, ...]) -> Grid:
        """The patches of an image; a patch that holds the whole of it has sides that networks can halve."""
        sides = self.sides or tuple(WHOLE_MULTIPLE * -(-n // WHOLE_MULTIPLE) for n in shape)
        return Grid(shape, sides, self.overlap_px or tuple(int(self.overlap * n) for n in sides), centred=True)


def blocks(shape: tuple[int, ...], size: tuple[int, ...]) -> Iterator[Box]:
    """Boxes of at most `size` that part an image without overlap, in C order; those at the far edges are smaller."""
    steps = (range(0, n, step) for n, step in zip(shape, size, strict=True))
    for start in itertools.product(*steps):
        yield Box(start, size).within(shape)
