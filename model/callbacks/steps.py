"""How a step follows from the gradients of batches."""

import torch
from fastai.callback.core import Callback, CancelBatchException
from fastai.callback.fp16 import MixedPrecision

from utils.ranks import rank_count


class Accumulate(Callback):
    """Takes a step only every so many batches, by the mean of their gradients; at the end of an epoch by those left.

    fastai's own counts on into the next epoch, and forgets its gradients where training goes on in the middle.
    """

    order = MixedPrecision.order - 4
    run_valid = False
    kept = ("gradients",)

    def __init__(self, batches: int):
        self.batches = batches
        self.is_waiting = False

    @property
    def gradients(self) -> dict[str, torch.Tensor]:
        """What waits for its step, by the number of the parameter."""
        numbered = enumerate(self.learn.model.parameters())
        return {str(n): each.grad for n, each in numbered if self.is_waiting and each.grad is not None}

    @gradients.setter
    def gradients(self, values: dict[str, torch.Tensor]) -> None:
        self.is_waiting = bool(values)
        for number, each in enumerate(self.learn.model.parameters()):
            if str(number) in values:
                each.grad = torch.empty_like(each).copy_(values[str(number)])

    def before_backward(self) -> None:
        """Give the batch its share of the step."""
        first = self.iter - self.iter % self.batches
        self.learn.loss_grad = self.loss_grad / min(self.batches, self.n_iter - first)

    def before_step(self) -> None:
        """Wait for the other batches."""
        done = self.iter + 1
        self.is_waiting = done % self.batches != 0 and done < self.n_iter
        if self.is_waiting:
            raise CancelBatchException


class FreezeEncoder(Callback):
    """Keeps the first group of parameters as it is for so many epochs; running statistics of batch norm go on."""

    order = Accumulate.order - 1

    def __init__(self, epochs: int):
        self.epochs = epochs

    def before_epoch(self) -> None:
        """Freeze, or have the encoder learn; several processes need a graph that stays the same."""
        for parameter in self.opt.param_lists[0]:
            parameter.requires_grad_(self.epoch >= self.epochs or rank_count() > 1)

    def before_step(self) -> None:
        """Drop the gradients of a frozen encoder that several processes have computed all the same."""
        if self.epoch < self.epochs:
            for parameter in self.opt.param_lists[0]:
                parameter.grad = None
