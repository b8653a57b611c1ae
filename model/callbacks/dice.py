"""Validation Dice over the pixels of all patches together."""

import torch
from fastai.learner import Learner, Metric

from utils.metrics import iou_of
from utils.ranks import sum_over_ranks

IGNORE = 255


class PooledDice(Metric):
    """Dice at probability 0.5 over all validation pixels; 1 where neither mask has any."""

    def reset(self) -> None:
        """Start a new epoch."""
        self.both = self.sizes = 0.0

    def accumulate(self, learn: Learner) -> None:
        """Add a batch: logits and targets (N, K, *)."""
        logits, targets = learn.pred.detach().as_subclass(torch.Tensor), learn.yb[0]
        known = targets != IGNORE
        predicted, truth = (logits > 0) & known, (targets == 1)
        self.both += float((predicted & truth).sum())
        self.sizes += float(predicted.sum() + truth.sum())

    def pool(self) -> None:
        """Add up what the processes have counted; every one has to ask."""
        self.both, self.sizes = sum_over_ranks([self.both, self.sizes])

    @property
    def value(self) -> float:
        """The Dice of the epoch."""
        return 2 * self.both / self.sizes if self.sizes else 1.0

    @property
    def iou(self) -> float:
        """The IoU of the same pixels."""
        return iou_of(self.value)

    @property
    def name(self) -> str:
        """Its column in history.csv."""
        return "valid_dice"
