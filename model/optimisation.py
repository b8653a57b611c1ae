"""How weights follow gradients: optimisers and schedules of the rate by name."""

import logging
from collections.abc import Callable
from functools import partial

import numpy as np
from fastai.callback.core import Callback
from fastai.callback.schedule import ParamScheduler, SchedCos  # adds Learner.fit_one_cycle, too
from fastai.callback.training import GradientClip
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam, Optimizer
from yacs.config import CfgNode

from model.callbacks.steps import Accumulate, FreezeEncoder

log = logging.getLogger(__name__)
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": Adam,  # its weight decay is decoupled by default
    "adam": partial(Adam, decouple_wd=False),
    "sgd": partial(SGD, mom=0.9),
}
LOWEST = 1e-5  # of the highest rate: where a cosine ends, as in fastai's one cycle
ROUNDING = 1e-9  # a share of the training that is so little below the end of a cycle has reached it


class LowerOnPlateau(Callback):
    """Multiplies the rates with `factor` after every `patience` epochs without a better validation Dice."""

    order = 80  # after the epoch is noted
    kept = ("best", "waited")  # the rates are in the state of the optimiser

    def __init__(self, patience: int, factor: float):
        self.patience = patience
        self.factor = factor
        self.best, self.waited = -1.0, 0

    def after_epoch(self) -> None:
        """Count the epochs since the best."""
        dice = self.learn.recorder.values[-1][-1]
        self.best, self.waited = (dice, 0) if dice > self.best else (self.best, self.waited + 1)
        if self.waited >= self.patience:
            self.waited = 0
            for hyper in self.opt.hypers:
                hyper["lr"] *= self.factor
            log.info("no better validation Dice for %d epochs: the rate is %.2g", self.patience, hyper["lr"])


def build_steps(cfg: CfgNode) -> list[Callback]:
    """What stands between gradients and steps: a frozen encoder, accumulation, clipping, a rate that is lowered."""
    solver, callbacks = cfg.SOLVER, []
    if solver.FREEZE_EPOCHS:
        callbacks.append(FreezeEncoder(solver.FREEZE_EPOCHS))
    if solver.ACCUMULATE > 1:
        callbacks.append(Accumulate(solver.ACCUMULATE))
    if solver.CLIP:
        callbacks.append(GradientClip(solver.CLIP))
    if solver.SCHEDULE == "plateau":
        callbacks.append(LowerOnPlateau(solver.PLATEAU_PATIENCE, solver.PLATEAU_FACTOR))
    return callbacks


def build_schedule(cfg: CfgNode) -> Callable[[Learner, int, slice], None]:
    """A function that trains a Learner for some epochs at rates that SOLVER.SCHEDULE lets rise and fall."""
    schedules = {
        "one_cycle": Learner.fit_one_cycle,
        "cosine": partial(fit_cosine, cycles=cfg.SOLVER.CYCLES),
        "plateau": Learner.fit,
        "constant": Learner.fit,
    }
    return schedules[cfg.SOLVER.SCHEDULE]


def fit_cosine(learner: Learner, epochs: int, rates: slice, cycles: int = 1) -> None:
    """Train while the rates fall by half a cosine, in each of `cycles` from the top (Loshchilov and Hutter, 2017)."""
    if learner.opt is None:
        learner.create_opt()
    learner.opt.set_hyper("lr", rates)
    highest = np.array([hyper["lr"] for hyper in learner.opt.hypers])
    fall = SchedCos(highest, highest * LOWEST)
    learner.fit(epochs, rates, cbs=ParamScheduler({"lr": lambda done: fall((done * cycles + ROUNDING) % 1)}))
