"""Reasons to end training early."""

import math

import torch
from fastai.callback.core import Callback, CancelFitException
from torch import nn

from model.training_errors import TrainingError


class StopAtNaN(Callback):
    """Ends the run with an error that names the patches when the loss or the weights are no longer finite."""

    def after_loss(self) -> None:
        """Look at the loss of a training batch."""
        loss = float(self.loss_grad.detach())
        if self.training and not math.isfinite(loss):
            names_of = getattr(self.dls.train, "names_of", None)
            batch = f" on the patches {', '.join(names_of(self.iter))}" if names_of else ""
            raise TrainingError(f"the loss became {loss} in epoch {self.epoch + 1}{batch}; try a smaller SOLVER.LR")

    def before_validate(self) -> None:
        """Look at the weights before one of the epochs can become the best."""
        if not weights_are_finite(self.model):
            raise TrainingError(f"the weights are no longer finite in epoch {self.epoch + 1}; try a smaller SOLVER.LR")


def weights_are_finite(model: nn.Module) -> bool:
    """Whether every parameter of a network is a number."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


class EarlyStop(Callback):
    """Ends training after `patience` epochs without a better validation Dice."""

    order = 80
    kept = ("best", "waited")

    def __init__(self, patience: int):
        self.patience = patience
        self.best, self.waited = -1.0, 0

    def after_epoch(self) -> None:
        """Count the epochs since the best."""
        dice = self.learn.recorder.values[-1][-1]
        self.best, self.waited = (dice, 0) if dice > self.best else (self.best, self.waited + 1)
        if self.waited >= self.patience:
            raise CancelFitException
