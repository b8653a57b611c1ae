"""Batches of patches in an order that can be found again in the middle."""

import signal

import numpy as np
from fastai.data.load import DataLoader


class PatchLoader(DataLoader):
    """Batches of a PatchDataset; the order of a shuffled one depends on the dataset's seed and epoch alone.

    A pass begins at `first_batch`: the ones before it are left out, unread.
    """

    first_batch = 0

    def get_idxs(self) -> list[int]:
        """Places in the dataset, in the order in which they are read."""
        count = len(self.dataset)
        draw = np.random.default_rng([self.dataset.seed, self.dataset.epoch, count])  # no place has the last number
        self.order = (draw.permutation(count) if self.shuffle else np.arange(count)).tolist()
        return self.order[self.first_batch * self.bs :]

    def names_of(self, batch: int) -> list[str]:
        """Names of the samples of a batch of the pass that was begun last, counted from 0."""
        return [self.dataset.samples[place].name for place in self.order[batch * self.bs : (batch + 1) * self.bs]]

    def wif(self) -> None:
        """Make ready a process that loads: Ctrl-C reaches the whole group, and the main one decides when to stop."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
