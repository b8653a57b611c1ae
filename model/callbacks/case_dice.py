"""Validation Dice by case: the mean over whole volumes or pictures, of each perhaps the largest object alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fastai.learner import Learner, Metric

from utils.metrics import count_confusion, iou_of
from utils.ranks import gather_over_ranks, own_rank, rank_count

IGNORE = 255


class CaseDice(Metric):
    """Mean over cases and classes of the Dice at probability 0.5 of each whole case; 1 where neither mask has any.

    The samples of the validation set say of which `case_id` they are, and which `box` of its `shape`. With `largest`
    all of a prediction but its largest object, whose pixels share faces, is left out.
    """

    def __init__(self, largest: bool):
        self.largest = largest

    def reset(self) -> None:
        """Start a new epoch."""
        self.masks: dict[int, np.ndarray] = {}  # by the place of the sample: predicted and true, as packed bits
        self.samples: Sequence[Any] = ()
        self.scores: list[float] = []

    def accumulate(self, learn: Learner) -> None:
        """Keep the masks of a batch: logits and targets (N, K, *)."""
        logits, targets = (each.detach().as_subclass(torch.Tensor) for each in (learn.pred, learn.yb[0]))
        known = targets != IGNORE
        masks = torch.stack([(logits > 0) & known, (targets == 1)], 1).cpu().numpy()
        first = (learn.iter * rank_count() + own_rank()) * learn.dl.bs
        self.samples, self.shape = learn.dl.dataset.samples, masks.shape[1:]
        self.masks |= {place: np.packbits(mask) for place, mask in enumerate(masks, start=first)}

    def pool(self) -> None:
        """Bring together what the processes have kept; every one has to ask."""
        parts = gather_over_ranks((self.masks, self.samples, getattr(self, "shape", ())))
        self.masks = {place: mask for masks, _, _ in parts for place, mask in masks.items()}
        self.samples, self.shape = next(((s, shape) for masks, s, shape in parts if masks), ((), ()))

    @property
    def value(self) -> float:
        """The Dice of the epoch."""
        self.scores = [dice for places in self._by_case().values() for dice in self._case(places)]
        return float(np.mean(self.scores)) if self.scores else 1.0

    @property
    def iou(self) -> float:
        """The mean IoU of the same masks, once the Dice is known."""
        return float(np.mean([iou_of(dice) for dice in self.scores])) if self.scores else 1.0

    @property
    def name(self) -> str:
        """Its column in history.csv."""
        return "valid_dice"

    def _by_case(self) -> dict[str, list[int]]:
        cases: dict[str, list[int]] = {}
        for place in sorted(self.masks):
            cases.setdefault(self.samples[place].case_id, []).append(place)
        return cases

    def _case(self, places: Sequence[int]) -> list[float]:
        """Dice of each class of a case, which is put together from its samples."""
        whole = np.zeros((*self.shape[:2], *self.samples[places[0]].shape), bool)
        for place in places:
            box = self.samples[place].box
            inside = box.within(whole.shape[2:])
            mask = np.unpackbits(self.masks[place], count=int(np.prod(self.shape))).astype(bool)
            patch = mask.reshape(*self.shape[:2], *box.size)[(..., *inside.seen_from(box.start).slices)]
            whole[(..., *inside.slices)] = patch
        return [self._dice(predicted, true) for predicted, true in zip(*whole, strict=True)]

    def _dice(self, predicted: np.ndarray, true: np.ndarray) -> float:
        return count_confusion(largest_object(predicted) if self.largest else predicted, true).dice


def largest_object(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a boolean mask, the first of equals, whose pixels share faces; nothing of nothing."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    return labels == 1 + np.bincount(labels.ravel())[1:].argmax() if count else mask
