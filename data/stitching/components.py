"""Connected components of a mask that is seen strip by strip along axis 0, equal to those of the whole mask."""

import itertools

import numpy as np


class StripComponents:
    """Numbers the components of successive strips and remembers which of them are one.

    `faces_only` joins cells that share a face (4 in 2-D, 6 in 3-D); otherwise corners join too (8, 26).
    """

    def __init__(self, faces_only: bool = False):
        self.faces_only = faces_only
        self.count = 0
        self._last_row: np.ndarray | None = None
        self._joints: list[np.ndarray] = []

    def add(self, strip: np.ndarray) -> np.ndarray:
        """Numbers of the components of the next strip (rows, *rest) boolean; 0 is background, int64."""
        if not strip.any():
            self._last_row = None
            return np.zeros(strip.shape, np.int64)
        from scipy import ndimage  # prediction begins without it

        structure = ndimage.generate_binary_structure(strip.ndim, 1 if self.faces_only else strip.ndim)
        labels, found = ndimage.label(strip, structure)
        numbers = np.where(labels > 0, labels.astype(np.int64) + self.count, 0)
        self.count += found
        if self._last_row is not None:
            self._joints.append(_touching(self._last_row, numbers[0], self.faces_only))
        self._last_row = numbers[-1]
        return numbers

    def merged(self) -> np.ndarray:
        """For each number 0..count its component 0..n; components keep the order of their first cell."""
        joints = np.concatenate([np.zeros((0, 2), np.int64), *self._joints])
        size = self.count + 1
        from scipy import sparse
        from scipy.sparse.csgraph import connected_components

        graph = sparse.coo_matrix((np.ones(len(joints), bool), (joints[:, 0], joints[:, 1])), shape=(size, size))
        return connected_components(graph, directed=False)[1]


class PieceCounts:
    """Counts the cells of each component of a mask that is seen strip by strip, and those with some marks."""

    def __init__(self, faces_only: bool = False):
        self._numbering = StripComponents(faces_only)
        self._counts: list[np.ndarray] = []

    def add(self, strip: np.ndarray, *marks: np.ndarray) -> None:
        """Take the next strip and its marks, boolean of one shape; each strip has as many marks."""
        before = self._numbering.count
        numbers = self._numbering.add(strip)
        size = self._numbering.count + 1
        counts = [np.bincount(numbers[each], minlength=size)[before + 1 :] for each in (strip, *marks)]
        self._counts.append(np.stack(counts))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Cells of each component, of these the marked ones (1 + marks, n) int64, and the component of each number.

        Component 0 is the background, of which nothing is counted.
        """
        component = self._numbering.merged()
        counts = np.concatenate([np.zeros((len(self._counts[0]), 1), np.int64), *self._counts], axis=1)
        summed = np.stack([np.bincount(component, weights=each) for each in counts])
        return summed.astype(np.int64), component


def _touching(above: np.ndarray, below: np.ndarray, faces_only: bool) -> np.ndarray:
    """Pairs (n, 2) of numbers that touch across the border of two strips."""
    offsets = [(0,) * above.ndim] if faces_only else list(itertools.product((-1, 0, 1), repeat=above.ndim))
    pairs = []
    for offset in offsets:
        here = tuple(slice(max(d, 0), n + min(d, 0)) for d, n in zip(offset, above.shape, strict=True))
        there = tuple(slice(max(-d, 0), n + min(-d, 0)) for d, n in zip(offset, above.shape, strict=True))
        both = np.column_stack([above[here].ravel(), below[there].ravel()])
        pairs.append(np.unique(both[(both > 0).all(1)], axis=0))
    return np.concatenate(pairs)
