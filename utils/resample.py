"""Resampling of one axis between two grids that cover the same extent, exactly and the same for every region.

Cell `i` of an axis of `n_to` cells covers `[i, i + 1) * n_from / n_to` cells of an axis of `n_from`: the true sizes
of both decide, in whole-number arithmetic, so that regions read apart meet without a seam.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse


def needed_range(start: int, stop: int, n_to: int, n_from: int) -> tuple[int, int]:
    """Half-open range of source cells on which the target cells `start..stop` depend."""
    if n_from >= n_to:
        return start * n_from // n_to, -(-stop * n_from // n_to)
    lowest, _ = _linear_places(np.array([start, stop - 1]), n_to, n_from)
    return int(lowest[0]), min(int(lowest[1]) + 2, n_from)


@lru_cache(maxsize=512)  # patches of a row or of a column share theirs
def axis_weights(start: int, stop: int, n_to: int, n_from: int) -> "sparse.csr_matrix":
    """Weights (stop - start, cells of `needed_range`), rows of sum 1: area average down, linear interpolation up."""
    from scipy import sparse  # here, since steps that read a level as it is need none of it

    low, high = needed_range(start, stop, n_to, n_from)
    make = _area_weights if n_from >= n_to else _linear_weights
    values, rows, columns = make(np.arange(start, stop, dtype=np.int64), n_to, n_from)
    return sparse.csr_matrix((values.astype(np.float32), (rows, columns - low)), shape=(stop - start, high - low))


def resample(block: np.ndarray, weights: Sequence["sparse.csr_matrix | None"]) -> np.ndarray:
    """Apply one weight matrix to each of the leading axes of `block` (None leaves an axis); float32."""
    result = block.astype(np.float32, copy=False)
    for axis, matrix in enumerate(weights):
        if matrix is None:
            continue
        moved = np.moveaxis(result, axis, 0)
        flat = matrix @ np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
        result = np.moveaxis(flat.reshape(matrix.shape[0], *moved.shape[1:]), 0, axis)
    return result


def resample_region(
    read: Callable[[tuple[int, ...], tuple[int, ...]], np.ndarray],
    shape_from: tuple[int, ...],
    shape_to: tuple[int, ...],
    start: tuple[int, ...],
    stop: tuple[int, ...],
) -> np.ndarray:
    """Region `start..stop` of the image at `shape_to`, made from `read(start, stop)` at `shape_from`.

    Spatial axes lead; channels follow. uint8 comes out rounded, a half to the even value; anything else as float32,
    or in its own dtype where both shapes are equal.
    """
    axes = list(zip(start, stop, shape_to, shape_from, strict=True))
    ranges = [needed_range(*axis) for axis in axes]
    block = read(tuple(low for low, _ in ranges), tuple(high for _, high in ranges))
    if shape_from == shape_to:
        return block
    factors = whole_factors(shape_from, shape_to)
    if factors and block.dtype == np.uint8:
        return average_blocks(block, factors)
    values = resample(block, [axis_weights(*axis) if axis[2] != axis[3] else None for axis in axes])
    return np.rint(values, out=values).astype(np.uint8) if block.dtype == np.uint8 else values


def whole_factors(shape_from: tuple[int, ...], shape_to: tuple[int, ...]) -> tuple[int, ...] | None:
    """How many source cells make one target cell by axis, where these are whole numbers; None otherwise."""
    axes = list(zip(shape_from, shape_to, strict=True))
    return tuple(n_from // n_to for n_from, n_to in axes) if all(n_from % n_to == 0 for n_from, n_to in axes) else None


def average_blocks(image: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Mean of each block of `factors` cells of (*spatial, channels) uint8, a half rounded to even; uint8.

    The sums are whole numbers, so that the mean is exact.
    """
    cells = math.prod(factors)
    kind = np.min_scalar_type(255 * cells)
    sums = image
    for axis, factor in enumerate(factors[:-1]):
        shape = (*sums.shape[:axis], -1, factor, *sums.shape[axis + 1 :])
        sums = sums.reshape(shape).sum(axis + 1, dtype=kind) if factor > 1 else sums
    planes = np.moveaxis(sums, -1, 0)  # channels are few: with them first, the inner loops are long
    total: np.ndarray = planes[..., :: factors[-1]].astype(kind, order="C")
    for place in range(1, factors[-1]):
        total += planes[..., place :: factors[-1]]
    means = np.divide(total, cells, dtype=np.float32 if 255 * cells < 2**24 else np.float64)
    return np.moveaxis(np.rint(means).astype(np.uint8), 0, -1)


def _area_weights(cells: np.ndarray, n_to: int, n_from: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, places among `cells` and source cells of an area average."""
    sources = cells[:, None] * n_from // n_to + np.arange(-(-n_from // n_to) + 1)
    # in units of 1 / n_to: target cell [i, i + 1) * n_from, source cell [j, j + 1) * n_to
    stops = np.minimum((sources + 1) * n_to, (cells[:, None] + 1) * n_from)
    cover = stops - np.maximum(sources * n_to, cells[:, None] * n_from)
    rows, columns = np.nonzero(cover > 0)
    return cover[rows, columns] / n_from, rows, sources[rows, columns]


def _linear_places(cells: np.ndarray, n_to: int, n_from: int) -> tuple[np.ndarray, np.ndarray]:
    # centre of cell i in source cells, (i + 1/2) * n_from / n_to - 1/2, in units of 1 / (2 n_to) and clamped
    centre = np.clip((2 * cells.astype(np.int64) + 1) * n_from - n_to, 0, 2 * n_to * (n_from - 1))
    return centre // (2 * n_to), (centre % (2 * n_to)) / (2 * n_to)


def _linear_weights(cells: np.ndarray, n_to: int, n_from: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, places among `cells` and source cells of a linear interpolation."""
    lowest, fraction = _linear_places(cells, n_to, n_from)
    rows = np.arange(len(cells))
    above = np.minimum(lowest + 1, n_from - 1)
    return np.concatenate([1 - fraction, fraction]), np.concatenate([rows, rows]), np.concatenate([lowest, above])
