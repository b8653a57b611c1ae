"""Outlines of the regions of a mask that is seen strip by strip: closed rings along the edges of pixels.

A ring has its region on the left when x points right and y, which grows downwards, is drawn upwards: an outer ring
has a positive area in (x, y), that of a hole a negative one. Where two pixels of a class meet at a corner alone, a
ring keeps to its own pixel; so regions are joined over faces. A ring that comes to such a corner twice is parted
there. No ring meets itself then, and what an outer ring and its holes enclose is one valid polygon.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np

from data.stitching.runs import Strip

# the four pixels around a corner: upper left, upper right, lower left, lower right
DOWN, RIGHT = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
GOES_ALONG_ROW = np.array([True, False, False, True])  # how the ring around one of them, if it has that corner, goes on
END, DONE = -1, -2

Rope = tuple["np.ndarray | Rope", ...]  # pieces of an outline in order: joining two costs the same whatever they hold


@dataclass(frozen=True)
class Ring:
    """A closed ring: `corners` (n, 2) int32 of (row, column), each once, from the topmost, of these the leftmost, on.

    `inside` is a pixel of its region: row * (columns + 1) + column, row 0 being the one above the strip that closed it.
    """

    corners: np.ndarray
    is_hole: bool
    inside: int


@dataclass(frozen=True)
class _Piece:
    """A piece of an open ring: it comes up from below along the wall `head` and goes down again along `tail`."""

    head: int
    tail: int
    rope: Rope


class Outlines:
    """Follows outlines from strip to strip; what it holds are the pieces of rings that are still open."""

    def __init__(self) -> None:
        self._open: list[_Piece] = []

    def add(self, strip: Strip) -> list[Ring]:
        """The rings that close at the upper edges of the strip's new rows."""
        corners = _Corners(strip)
        following, heads, tails = _link(corners, self._open)
        open_chains = _walk(following, heads)
        long_chains = _walk(following, range(len(corners.place), len(following)))
        short_chains = _walk(following, range(len(corners.place)))
        ropes = [corners.rope(each, self._open) for each in [*open_chains, *long_chains]]
        loops = [_turned(_flatten(rope)) for rope in ropes[len(open_chains) :]] + corners.split(short_chains)
        insides = corners.insides([min(each) for each in long_chains + short_chains])
        ends = zip(open_chains, heads.values(), ropes, strict=False)
        self._open = [_Piece(head, tails[each[-1]], rope) for each, head, rope in ends]
        return _make_rings(loops, insides, corners.width)


class _Corners:
    """Corners of outlines at the upper edges of a strip's new rows, each with its `place` and its `pixel`.

    A place of the pixel grid, given by `rows` and `columns`, holds a corner for each pixel around it whose ring turns
    there. `codes` of places are row * (columns + 1) + column in the whole mask, or ~code where all four pixels differ
    from their neighbours, so that a ring may come by twice.
    """

    def __init__(self, strip: Strip):
        walls, floors = strip.walls, strip.values[1:] != strip.values[:-1]
        turns = (walls[:-1] | walls[1:]) & (floors[:, :-1] | floors[:, 1:])
        self.width = walls.shape[1]
        self.rows, self.columns = np.divmod(np.flatnonzero(turns), self.width)
        rows, columns = self.rows[:, None], self.columns[:, None]
        has_wall, has_floor = walls[rows + DOWN, columns], floors[rows, columns + RIGHT]
        # a pixel between two of its edges has a convex corner; one without any, an edge opposite to it, a reflex one
        exists = (has_wall == has_floor) & (strip.values[rows + DOWN, columns + RIGHT] > 0)
        self.place, self.pixel = np.divmod(np.flatnonzero(exists), 4)
        self.goes_along_row = (has_wall == GOES_ALONG_ROW)[exists]
        codes = (strip.row + self.rows) * self.width + self.columns
        self.codes = np.where((has_wall & has_floor).all(1), ~codes, codes)

    def insides(self, numbers: Sequence[int]) -> np.ndarray:
        """The pixels of some corners, as `Ring.inside` has them."""
        own = np.array(numbers, np.int64)
        place, pixel = self.place[own], self.pixel[own]
        return (self.rows[place] + DOWN[pixel]) * self.width + self.columns[place] + RIGHT[pixel] - 1

    def split(self, chains: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """The codes of chains that hold no open piece."""
        codes = self.codes[self.place[np.fromiter(chain.from_iterable(chains), np.int64)]]
        return np.split(codes, np.cumsum([len(each) for each in chains])[:-1]) if chains else []

    def rope(self, numbers: Sequence[int], pieces: Sequence[_Piece]) -> Rope:
        """The codes of a chain that holds open pieces, which are numbered from the last corner on."""
        count = len(self.place)
        rope: list[np.ndarray | Rope] = []
        for is_piece, group in groupby(numbers, lambda number: number >= count):
            own = list(group)
            rope += [pieces[each - count].rope for each in own] if is_piece else [self.codes[self.place[own]]]
        return tuple(rope)


def _link(corners: _Corners, pieces: Sequence[_Piece]) -> tuple[list[int], dict[int, int], dict[int, int]]:
    """For each number the one that follows it along its ring, or END; then open heads and tails with their walls.

    Numbers are those of the corners, then of the pieces.
    """
    following = np.full(len(corners.place) + len(pieces), END)
    for is_lower in (0, 1):  # of upper and of lower pixels starts and ends alternate along a row
        own = DOWN[corners.pixel] == is_lower
        following[np.flatnonzero(own & corners.goes_along_row)] = np.flatnonzero(own & ~corners.goes_along_row)
    number, side, wall, opens = _along_walls(corners, pieces)
    closing = np.flatnonzero(~opens)
    above, below, goes_up = number[closing - 1], number[closing], side[closing] == 1
    following[np.where(goes_up, below, above)] = np.where(goes_up, above, below)
    waiting = opens & np.append(opens[1:], True)
    tails, heads = (dict(np.column_stack([number, wall])[waiting & (side == each)].tolist()) for each in (0, 1))
    return following.tolist(), heads, tails


def _along_walls(corners: _Corners, pieces: Sequence[_Piece]) -> tuple[np.ndarray, ...]:
    """All that ends at a wall, down each wall: number, side of its pixel (1: right), wall, whether it opens."""
    first, count = len(corners.place), len(pieces)
    number = np.concatenate([np.tile(np.arange(first, first + count), 2), np.arange(first)])
    side = np.concatenate([np.repeat([0, 1], count), RIGHT[corners.pixel]])
    ends = np.array([[each.tail for each in pieces], [each.head for each in pieces]], np.int64).ravel()
    wall = np.concatenate([ends, corners.columns[corners.place]])
    row = np.concatenate([np.zeros(2 * count, np.int64), corners.rows[corners.place] + 1])  # pieces come from above
    opens = np.concatenate([np.full(2 * count, True), corners.goes_along_row == RIGHT[corners.pixel]])
    line = side * corners.width + wall
    order = np.argsort((line * (row.max(initial=0) + 1) + row) * 2 + opens)
    return number[order], side[order], wall[order], opens[order]


def _walk(following: list[int], starts: Iterable[int]) -> list[list[int]]:
    """Chains from `starts` to their END or once round, without those that were walked before, which are DONE."""
    chains = []
    for number in starts:
        passed = []
        while number != END and following[number] != DONE:
            passed.append(number)
            following[number], number = DONE, following[number]
        if passed:
            chains.append(passed)
    return chains


def _flatten(rope: Rope) -> np.ndarray:
    """The codes of a rope; it may be as deep as the mask has strips."""
    codes: list[np.ndarray] = []
    waiting: list[np.ndarray | Rope] = [rope]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, tuple):
            waiting.extend(piece[::-1])
        else:
            codes.append(piece)
    return np.concatenate(codes)


def _make_rings(loops: Sequence[np.ndarray], insides: np.ndarray, width: int) -> list[Ring]:
    """Rings of loops of codes, each of which begins at its topmost, leftmost corner."""
    if not loops:
        return []
    starts = np.cumsum([0, *(len(each) for each in loops[:-1])])
    returns = np.add.reduceat(np.concatenate(loops) < 0, starts) > 1
    if returns.any():
        parted = [_parted(each) if comes_back else [each] for each, comes_back in zip(loops, returns, strict=True)]
        insides = np.repeat(insides, [len(each) for each in parted])
        loops = list(chain.from_iterable(parted))
        starts = np.cumsum([0, *(len(each) for each in loops[:-1])])
    rows, columns = np.divmod(_places(np.concatenate(loops)), width)
    following = np.append(np.arange(1, len(rows)), 0)
    following[np.append(starts[1:], len(rows)) - 1] = starts
    twice_area = np.add.reduceat(columns * rows[following] - columns[following] * rows, starts)
    corners = np.column_stack([rows, columns]).astype(np.int32)
    places = zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True)
    found = zip(places, (twice_area < 0).tolist(), insides.tolist(), strict=True)
    return [Ring(corners[a:b].copy(), is_hole, inside) for (a, b), is_hole, inside in found]


def _places(codes: np.ndarray) -> np.ndarray:
    """Codes without their mark."""
    return np.where(codes < 0, ~codes, codes)


def _turned(loop: np.ndarray) -> np.ndarray:
    """A loop from its smallest place on."""
    return np.roll(loop, -int(_places(loop).argmin()))


def _parted(loop: np.ndarray) -> list[np.ndarray]:
    """Loops that pass every corner once."""
    path: list[int] = []
    seen: dict[int, int] = {}
    loops = []
    for code in loop.tolist():
        start = seen.setdefault(code, len(path))
        if start == len(path):
            path.append(code)
            continue
        loops.append(path[start:])
        for each in path[start + 1 :]:
            del seen[each]
        del path[start + 1 :]
    return [_turned(np.array(each)) for each in [*loops, path]]
