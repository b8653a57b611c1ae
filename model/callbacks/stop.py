"""Reasons to end training early."""

import math

from fastai.callback.core import Callback, CancelFitException


class TrainingError(ValueError):
    """Training that cannot go on."""


class StopAtNaN(Callback):
    """Ends the run with an error when the loss is no longer finite."""

    def after_loss(self) -> None:
        """Look at the loss of a training batch."""
        loss = float(self.loss_grad.detach())
        if self.training and not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} in epoch {self.epoch + 1}; try a smaller SOLVER.LR")


class EarlyStop(Callback):
    """Ends training after `patience` epochs without a better validation Dice."""

    order = 80

    def __init__(self, patience: int):
        self.patience = patience
        self.best, self.waited = -1.0, 0

    def after_epoch(self) -> None:
        """Count the epochs since the best."""
        dice = self.learn.recorder.values[-1][-1]
        self.best, self.waited = (dice, 0) if dice > self.best else (self.best, self.waited + 1)
        if self.waited >= self.patience:
            raise CancelFitException
