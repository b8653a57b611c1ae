"""Run-length encoding of masks: `start length` pairs, 1-based, running down the columns."""

import re
from collections.abc import Iterable, Iterator

import numpy as np

PLAIN = re.compile(r"(?:[0-9]{1,18}(?: |\Z))*+")  # whole numbers, single blanks: what numpy may read unchecked


class RleError(ValueError):
    """A run-length text that does not describe a mask of the given size."""


def encode_rle(mask: np.ndarray) -> str:
    """Text of the runs of a mask; `mask` is (row, column), any value but 0 is foreground."""
    return "".join(encode_strips([[mask != 0]], mask.shape[0]))


def encode_strips(strips: Iterable[Iterable[np.ndarray]], rows: int) -> Iterator[str]:
    """Text, piece by piece, of a mask of so many rows, so that memory follows one strip's outlines and not the mask.

    It is given as column strips from left to right, each of them as boolean tiles (row, column) from top to bottom. A
    tile broadcast from a single cell costs nothing where it goes on like the one above it.
    """
    lead = ""
    for starts, lengths in stream_runs(strips, rows):
        pairs = np.column_stack([starts + 1, lengths]).ravel()
        yield lead + " ".join(map(str, pairs.tolist()))
        lead = " "


def stream_runs(strips: Iterable[Iterable[np.ndarray]], rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Runs (0-based starts, lengths) of the strips of `encode_strips`; one across a border comes out whole."""
    offset, last = 0, False
    begun = np.zeros(0, np.int64)  # the start of a run that reaches the border
    for tiles in strips:
        edges, columns, last = _find_edges(tiles, rows, last)
        edges = np.concatenate([begun, edges + offset])
        offset += rows * columns
        whole = len(edges) // 2 * 2
        begun = edges[whole:]
        if whole:
            yield edges[:whole:2], edges[1:whole:2] - edges[:whole:2]
    if len(begun):
        yield begun, offset - begun


def _find_edges(tiles: Iterable[np.ndarray], rows: int, last: bool) -> tuple[np.ndarray, int, bool]:
    """Places of a strip, counted down its columns, whose cell differs from the one before; columns; the last cell.

    `last` is the cell before the first.
    """
    places, top, above, row = [], np.zeros(0, bool), np.zeros(0, bool), 0
    for tile in tiles:
        if row == 0:
            top = above = tile[0]
        if any(tile.strides) or (above != tile[0]).any():
            changed = np.flatnonzero(tile != np.vstack([above, tile[:-1]]))  # of two axes it is ten times slower
            within, column = np.divmod(changed, tile.shape[1])
            places.append(column * rows + (within + row))
        above, row = tile[-1], row + len(tile)
    before = np.concatenate([[last], above[:-1]])
    places.append(np.flatnonzero(top != before) * rows)
    return np.sort(np.concatenate(places)), len(top), bool(above[-1])


def find_runs(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0-based starts and lengths of the runs of non-zero values in a flat array, both int64."""
    on = np.concatenate([[False], flat != 0, [False]])
    edges = np.flatnonzero(on[1:] != on[:-1])
    return edges[::2].astype(np.int64), (edges[1::2] - edges[::2]).astype(np.int64)


def parse_rle(text: str, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """0-based starts (ascending) and lengths of a run-length text for a mask of `pixels` pixels.

    Raises RleError, naming the first bad value, for anything but whole positive pairs that lie inside the mask and
    do not overlap. An empty text is an empty mask.
    """
    numbers = _whole_numbers(text)
    if len(numbers) % 2:
        raise RleError(f"RLE has {len(numbers)} numbers; it needs pairs of start and length")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    _refuse(starts < 0, numbers[::2], "RLE starts at {}; the first pixel is 1")
    _refuse(lengths < 1, lengths, "RLE has a run of length {}; it must be at least 1")
    _refuse(starts + lengths > pixels, numbers[::2], f"RLE run at {{}} ends past the last of the {pixels} pixels")
    if (starts[1:] < starts[:-1]).any():
        order = np.argsort(starts, kind="stable")
        starts, lengths = starts[order], lengths[order]
    _refuse(starts[1:] < starts[:-1] + lengths[:-1], starts[1:] + 1, "RLE run at {} overlaps the run before it")
    return starts, lengths


def _whole_numbers(text: str) -> np.ndarray:
    if PLAIN.fullmatch(text):
        return np.fromstring(text, np.int64, sep=" ")
    words = text.split()
    for word in words:
        if not (word.isascii() and word.removeprefix("-").isdigit() and len(word) <= 18):
            raise RleError(f"RLE holds {word[:40]!r}; it may hold only whole numbers")
    return np.array([int(word) for word in words], np.int64)


def _refuse(bad: np.ndarray, values: np.ndarray, message: str) -> None:
    if bad.any():
        raise RleError(message.format(int(values[np.argmax(bad)])))


def decode_rle(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Mask (row, column) of 0 and 1, uint8, of a run-length text; raises RleError as `parse_rle` does."""
    starts, lengths = parse_rle(text, shape[0] * shape[1])
    steps = np.zeros(shape[0] * shape[1] + 1, np.int8)
    np.add.at(steps, starts, 1)
    np.add.at(steps, starts + lengths, -1)
    return np.cumsum(steps[:-1], dtype=np.int8).astype(np.uint8).reshape(shape[::-1]).T
