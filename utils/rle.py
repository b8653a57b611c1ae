"""Run-length encoding of masks: `start length` pairs, 1-based, running down the columns."""

from collections.abc import Iterable, Iterator

import numpy as np


class RleError(ValueError):
    """A run-length text that does not describe a mask of the given size."""


def encode_rle(mask: np.ndarray) -> str:
    """Text of the runs of a mask; `mask` is (row, column), any value but 0 is foreground."""
    return "".join(encode_strips([mask]))


def encode_strips(strips: Iterable[np.ndarray]) -> Iterator[str]:
    """Text, piece by piece, of a mask given as column strips from left to right.

    Each strip is (row, column) with all rows of the mask, so that memory follows the strip and not the mask.
    """
    lead = ""
    for starts, lengths in stream_runs(strips):
        pairs = np.column_stack([starts + 1, lengths]).ravel()
        yield lead + " ".join(map(str, pairs.tolist()))
        lead = " "


def stream_runs(strips: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Runs (0-based starts, lengths) of column strips; a run across a strip's border comes out whole."""
    offset = 0
    held = np.zeros((0, 2), np.int64)
    for strip in strips:
        starts, lengths = find_runs(np.asarray(strip).T.reshape(-1))
        runs = np.column_stack([starts + offset, lengths])
        offset += strip.size
        runs = _join(held, runs)
        reaches_border = len(runs) > 0 and runs[-1].sum() == offset
        held, done = (runs[-1:], runs[:-1]) if reaches_border else (runs[:0], runs)
        if len(done):
            yield done[:, 0], done[:, 1]
    if len(held):
        yield held[:, 0], held[:, 1]


def _join(held: np.ndarray, runs: np.ndarray) -> np.ndarray:
    if len(held) and len(runs) and held[0].sum() == runs[0, 0]:
        runs = runs.copy()
        runs[0] = held[0, 0], held[0, 1] + runs[0, 1]
        return runs
    return np.concatenate([held, runs])


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
    numbers = _whole_numbers(text.split())
    if len(numbers) % 2:
        raise RleError(f"RLE has {len(numbers)} numbers; it needs pairs of start and length")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    _refuse(starts < 0, numbers[::2], "RLE starts at {}; the first pixel is 1")
    _refuse(lengths < 1, lengths, "RLE has a run of length {}; it must be at least 1")
    _refuse(starts + lengths > pixels, numbers[::2], f"RLE run at {{}} ends past the last of the {pixels} pixels")
    order = np.argsort(starts, kind="stable")
    starts, lengths = starts[order], lengths[order]
    _refuse(starts[1:] < starts[:-1] + lengths[:-1], starts[1:] + 1, "RLE run at {} overlaps the run before it")
    return starts, lengths


def _whole_numbers(words: list[str]) -> np.ndarray:
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
