"""The mean of the weights of several steps or epochs, which often predicts better than any of them.

It lies beside the network in training, as a copy of it: the copy is validated, drawn and kept. Running statistics of
batch norm are averaged like the weights.
"""

import copy
from typing import Any

import torch
from fastai.callback.core import Callback
from torch import nn
from torch.distributed import broadcast
from torch.nn.utils import convert_conv2d_weight_memory_format
from yacs.config import CfgNode

from utils.ranks import rank_count


class Averaging(Callback):
    """Has `mean`, a copy of the network `trained` that a kind of average fills, validated in the network's place."""

    kept: tuple[str, ...] = ("weights",)

    def __init__(self, trained: nn.Module):
        self.trained = trained
        self.mean = copy.deepcopy(trained).eval().requires_grad_(False)

    @property
    def weights(self) -> dict[str, Any]:
        """The average so far."""
        return self.mean.state_dict()

    @weights.setter
    def weights(self, values: dict[str, Any]) -> None:
        self.mean.load_state_dict(values)

    def before_fit(self) -> None:
        """Bring the average to where the network is."""
        self.mean.to(next(self.trained.parameters()).device)
        convert_conv2d_weight_memory_format(self.mean, torch.channels_last)  # as the network's; none of volumes

    def before_validate(self) -> None:
        """Have all processes validate the average of rank 0: where batch norm saw parts, theirs differ."""
        if rank_count() > 1:
            for buffer in self.mean.buffers():
                broadcast(buffer, src=0)

    def before_batch(self) -> None:
        """Put the average in place for one forward pass: a checkpoint between batches finds the network in training."""
        if not self.training:
            self.in_training, self.learn.model = self.learn.model, self.mean

    def after_pred(self) -> None:
        """Put the network back."""
        if not self.training:
            self.learn.model = self.in_training

    @torch.no_grad()
    def move(self, share: float) -> None:
        """Bring the average nearer to the network, by a share of the distance."""
        weights = self.trained.state_dict()
        for name, mean in self.mean.state_dict().items():
            if mean.is_floating_point() and share < 1:
                mean.lerp_(weights[name], share)
            else:
                mean.copy_(weights[name])


class ExponentialAverage(Averaging):
    """The mean of all steps, in which each counts `decay` times as much as the one after it.

    The first steps follow faster, with decay (1 + n) / (10 + n) after n steps, or the random weights of the start would
    stay in it for long.
    """

    kept = ("weights", "steps")

    def __init__(self, trained: nn.Module, decay: float):
        super().__init__(trained)
        self.decay = decay
        self.steps = 0

    def after_step(self) -> None:
        """Take a step in."""
        self.move(1 - min(self.decay, (1 + self.steps) / (10 + self.steps)))
        self.steps += 1


class TailAverage(Averaging):
    """The mean of the weights at the ends of the last epochs (Izmailov et al., 2018); until then the weights."""

    kept = ("weights", "ended")

    def __init__(self, trained: nn.Module, epochs: int):
        super().__init__(trained)
        self.epochs = epochs
        self.ended = 0  # epochs whose ends are in the average: training may go on between an end and its validation

    def after_train(self) -> None:
        """Take an epoch in."""
        if self.ended <= self.epoch:
            self.ended = self.epoch + 1
            self.move(1 / max(1, self.ended - (self.n_epoch - self.epochs)))


def build_averaging(cfg: CfgNode, network: nn.Module) -> tuple[nn.Module, list[Averaging]]:
    """The network to validate and keep, and what makes it: the average that SOLVER asks for, or the network itself."""
    if cfg.SOLVER.EMA:
        averaging: Averaging = ExponentialAverage(network, cfg.SOLVER.EMA)
    elif cfg.SOLVER.SWA_EPOCHS:
        averaging = TailAverage(network, cfg.SOLVER.SWA_EPOCHS)
    else:
        return network, []
    return averaging.mean, [averaging]
