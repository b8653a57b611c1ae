"""Loaders whose batches several processes share, each sample once."""

from collections.abc import Sequence
from typing import Any

from data.patches.dataset import PatchDataset
from data.patches.loader import PatchLoader


def share_of_each_batch(order: Sequence[int], batch: int, rank: int, count: int) -> list[int]:
    """The samples of one process where each takes an equal part of every whole batch; the rest is left out."""
    part = batch // count
    starts = range(rank * part, len(order) // batch * batch, batch)
    return [place for start in starts for place in order[start : start + part]]


def share_of_batches(order: Sequence[int], batch: int, rank: int, count: int) -> list[int]:
    """The samples of one process where each takes every `count`-th batch whole."""
    starts = range(rank * batch, len(order), count * batch)
    return [place for start in starts for place in order[start : start + batch]]


class SharedLoader(PatchLoader):
    """The share that one of `count` processes takes of batches of `batch` samples.

    In training (`shuffle`) each takes a part of every batch, in the order that one process alone would; in validation
    every `count`-th batch as a whole, so that what is computed of a batch does not depend on `count`.
    """

    def __init__(self, dataset: PatchDataset, batch: int, rank: int, count: int, shuffle: bool, num_workers: int):
        options: dict[str, Any] = {"shuffle": shuffle, "drop_last": shuffle, "num_workers": num_workers}
        super().__init__(dataset, bs=batch // count if shuffle else batch, **options)
        self.batch, self.rank, self.count = batch, rank, count

    def __len__(self) -> int:
        if self.shuffle:
            return len(self.dataset) // self.batch
        return -(-(-(-len(self.dataset) // self.batch) - self.rank) // self.count)

    def get_idxs(self) -> list[int]:
        """The samples of an epoch; all processes draw the same order, each takes its own of it."""
        super().get_idxs()
        take = share_of_each_batch if self.shuffle else share_of_batches
        return take(self.order[self.first_batch * self.batch :], self.batch, self.rank, self.count)

    def names_of(self, batch: int) -> list[str]:
        """Names of the samples of a whole batch, those of the other processes too."""
        return self._names(self.order[batch * self.batch : (batch + 1) * self.batch])
