"""Validation loss over all patches."""

from fastai.learner import Learner, Metric
from fastai.torch_core import find_bs

from utils.ranks import sum_over_ranks


class PooledLoss(Metric):
    """Mean of the losses of the batches, each weighted with its number of patches."""

    def reset(self) -> None:
        """Start a new epoch."""
        self.total = self.count = 0.0

    def accumulate(self, learn: Learner) -> None:
        """Add a batch."""
        patches = find_bs(learn.yb)
        self.total += float(learn.loss.detach().mean()) * patches
        self.count += patches

    def pool(self) -> None:
        """Add up what the processes have counted; every one has to ask."""
        self.total, self.count = sum_over_ranks([self.total, self.count])

    @property
    def value(self) -> float:
        """The loss of the epoch."""
        return self.total / self.count
