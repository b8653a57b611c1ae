"""Batches of patches in an order that can be found again in the middle."""

import signal
from collections.abc import Sequence

import numpy as np
from fastai.data.load import DataLoader

SAMPLING = 2  # what tells the draws of a sampling from those of a sample and of its mixing


class PatchLoader(DataLoader):
    """Batches of a PatchDataset; the order of a shuffled one depends on the dataset's seed and epoch alone.

    A pass begins at `first_batch`: the ones before it are left out, unread.
    """

    first_batch = 0

    def get_idxs(self) -> list[int]:
        """Places in the dataset, in the order in which they are read."""
        self.order = self._shuffled() if self.shuffle else list(range(len(self.dataset)))
        return self.order[self.first_batch * self.bs :]

    def _shuffled(self) -> list[int]:
        count, sampling = len(self.dataset), self.dataset.sampling
        key = [self.dataset.seed, self.dataset.epoch, count]  # no place has the last number
        if sampling:
            return sampling.order(np.random.default_rng([*key, SAMPLING]))
        return np.random.default_rng(key).permutation(count).tolist()

    def names_of(self, batch: int) -> list[str]:
        """Names of the samples of a batch of the pass that was begun last, counted from 0."""
        return self._names(self.order[batch * self.bs : (batch + 1) * self.bs])

    def _names(self, places: Sequence[int]) -> list[str]:
        samples = self.dataset.samples
        return [samples[place % len(samples)].name for place in places]

    def wif(self) -> None:
        """Make ready a process that loads: Ctrl-C reaches the whole group, and the main one decides when to stop."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
