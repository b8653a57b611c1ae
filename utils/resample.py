"""Resampling of one axis between two grids that cover the same extent, exactly and the same for every region.

Cell `i` of an axis of `n_to` cells covers `[i, i + 1) * n_from / n_to` cells of an axis of `n_from`: the true sizes
of both decide, in whole-number arithmetic, so that regions read apart meet without a seam.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse


def needed_range(start: int, stop: int, n_to: int, n_from: int) -> tuple[int, int]:
    """Half-open range of source cells on which the target cells `start..stop` depend."""
    if n_from >= n_to:
        return start * n_from // n_to, -(-stop * n_from // n_to)
    lowest, _ = _linear_places(np.array([start, stop - 1]), n_to, n_from)
    return int(lowest[0]), min(int(lowest[1]) + 2, n_from)


def axis_weights(start: int, stop: int, n_to: int, n_from: int) -> sparse.csr_matrix:
    """Weights (stop - start, cells of `needed_range`), rows of sum 1: area average down, linear interpolation up."""
    make = _area_weights if n_from >= n_to else _linear_weights
    return make(start, stop, n_to, n_from)


def resample(block: np.ndarray, weights: Sequence[sparse.csr_matrix | None]) -> np.ndarray:
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

    Spatial axes lead; channels may follow. float32, or the source's own dtype where both shapes are equal.
    """
    ranges = [needed_range(*axis) for axis in zip(start, stop, shape_to, shape_from, strict=True)]
    block = read(tuple(low for low, _ in ranges), tuple(high for _, high in ranges))
    if shape_from == shape_to:
        return block
    axes = zip(start, stop, shape_to, shape_from, strict=True)
    return resample(
        block, [None if n_to == n_from else axis_weights(a, b, n_to, n_from) for a, b, n_to, n_from in axes]
    )


def _area_weights(start: int, stop: int, n_to: int, n_from: int) -> sparse.csr_matrix:
    low, high = needed_range(start, stop, n_to, n_from)
    cells = np.arange(start, stop, dtype=np.int64)[:, None]
    first = cells * n_from // n_to
    sources = first + np.arange(-(-n_from // n_to) + 1)
    # in units of 1 / n_to: target cell [i, i + 1) * n_from, source cell [j, j + 1) * n_to
    cover = np.minimum((sources + 1) * n_to, (cells + 1) * n_from) - np.maximum(sources * n_to, cells * n_from)
    rows, columns = np.nonzero(cover > 0)
    places = (rows, sources[rows, columns] - low)
    values = (cover[rows, columns] / n_from).astype(np.float32)
    return sparse.csr_matrix((values, places), shape=(stop - start, high - low))


def _linear_places(cells: np.ndarray, n_to: int, n_from: int) -> tuple[np.ndarray, np.ndarray]:
    # centre of cell i in source cells, (i + 1/2) * n_from / n_to - 1/2, in units of 1 / (2 n_to) and clamped
    centre = np.clip((2 * cells.astype(np.int64) + 1) * n_from - n_to, 0, 2 * n_to * (n_from - 1))
    return centre // (2 * n_to), (centre % (2 * n_to)) / (2 * n_to)


def _linear_weights(start: int, stop: int, n_to: int, n_from: int) -> sparse.csr_matrix:
    low, high = needed_range(start, stop, n_to, n_from)
    lowest, fraction = _linear_places(np.arange(start, stop), n_to, n_from)
    rows = np.arange(stop - start)
    above = np.minimum(lowest + 1, n_from - 1)
    values = np.concatenate([1 - fraction, fraction]).astype(np.float32)
    places = (np.concatenate([rows, rows]), np.concatenate([lowest, above]) - low)
    return sparse.csr_matrix((values, places), shape=(stop - start, high - low))
