"""Going on with training where it was stopped, as if it had never stopped."""

import logging
import time
from pathlib import Path
from typing import Any

import torch
from fastai.callback.core import Callback
from fastai.learner import Learner
from fastai.optimizer import Optimizer, average_grad, average_sqr_grad, step_stat
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from yacs.config import CfgNode

from model.callbacks.stop import weights_are_finite
from model.training_errors import TrainingError
from model.training_state import StateError, has_state, load_state, save_state
from utils.ranks import agree, is_writer
from utils.signals import StopRequest

MOMENTS = {average_grad: "grad_avg", average_sqr_grad: "sqr_avg", step_stat: "step"}  # that parts of optimisers keep
log = logging.getLogger(__name__)


class Resume(Callback):
    """Keeps the state of training at `path`: at the start, after each epoch, every `minutes` and before a stop.

    `state` is what to go on from. `data` says what is trained on, and must be the same then. A callback has a share in
    the state by naming, in `kept`, attributes that hold numbers, texts, tensors, or dicts and lists of them.
    Zero minutes: after each epoch only.
    """

    order = 90  # after everything that has a share in the state

    def __init__(self, path: Path, minutes: float, data: str, stop: StopRequest, state: dict[str, Any] | None = None):
        self.path = path
        self.seconds = minutes * 60
        self.data = data
        self.stop = stop
        self.state = state

    def before_fit(self) -> None:
        """Go on from the state, or keep the very first one."""
        if self.state is None:
            self.save(0, 0)
            return
        if self.state["data"] != self.data:
            raise StateError(f"the patches to train on are not those of the checkpoint {self.path}; start a new run")
        restore(self.learn, self.state)
        self.saved = time.monotonic()
        log.info("going on in epoch %d after %d batches", self.state["epoch"] + 1, self.state["batch"])

    def before_train(self) -> None:
        """Go on in the middle of an epoch."""
        if self.state and self.state["batch"]:
            self.learn.pct_train = self.state["pct_train"]
        self.state = None

    def after_train(self) -> None:
        """Later epochs begin at their first batch."""
        self.dls.train.first_batch = 0

    def after_batch(self) -> None:
        """Keep the state when it is time, or when a signal came."""
        if self.stop.number or 0 < self.seconds <= time.monotonic() - self.saved:
            self.save(self.epoch, self.iter + 1 if self.training else len(self.dls.train))

    def after_epoch(self) -> None:
        """Keep the state of the epoch's end."""
        self.save(self.epoch + 1, 0)

    def save(self, epoch: int, batch: int) -> None:
        """Keep the state of `epoch` epochs and `batch` batches, then stop if a signal asked for it."""
        if not weights_are_finite(self.model):
            raise TrainingError(f"the weights are no longer finite in epoch {self.epoch + 1}; try a smaller SOLVER.LR")
        if is_writer():
            save_state(self.path, {"epoch": epoch, "batch": batch, "data": self.data, **capture(self.learn)})
        self.saved = time.monotonic()
        if not is_writer():
            return  # one process decides when all of them stop
        if self.stop.number:
            log.info("stopped in epoch %d; the same command with --resume goes on from here", self.epoch + 1)
        self.stop.obey()


def build_resume(cfg: CfgNode, path: Path, trained_on: str, stop: StopRequest) -> Resume:
    """The callback that keeps the state of training at `path`, and goes on from the state that is there already."""
    state = load_state(path) if agree(has_state(path)) else None
    return Resume(path, cfg.SOLVER.CHECKPOINT_MINUTES, trained_on, stop, state)


def capture(learn: Learner) -> dict[str, Any]:
    """What the next steps of a Learner depend on, but for its place in the epochs."""
    scaler, loss = learn.__dict__.get("scaler"), learn.recorder.smooth_loss
    return {
        "train_iter": learn.train_iter,
        "pct_train": learn.pct_train,
        "model": _network(learn).state_dict(),
        "optimiser": {name: list(each) for name, each in learn.opt.state_dict().items()},
        "scaler": scaler.state_dict() if scaler else None,
        "smooth_loss": {"count": loss.count, "val": loss.val},
        "values": [list(row) for row in learn.recorder.values],
        "callbacks": {callback.name: _kept(callback) for callback in learn.cbs if _kept(callback)},
    }


def restore(learn: Learner, state: dict[str, Any]) -> None:
    """Bring a Learner that has begun to fit to a captured state; raises StateError where it does not fit."""
    learn.first_epoch, learn.dls.train.first_batch = state["epoch"], state["batch"]
    learn.epoch, learn.train_iter = max(0, state["epoch"] - 1), state["train_iter"]
    try:
        _network(learn).load_state_dict(state["model"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise StateError(f"the checkpoint's network is another one: {reason}") from error
    restore_optimiser(learn.opt, state["optimiser"])
    scaler = learn.__dict__.get("scaler")
    if scaler and state["scaler"]:
        scaler.load_state_dict(state["scaler"])
    recorder = learn.recorder
    recorder.values[:] = state["values"]
    recorder.smooth_loss.count, recorder.smooth_loss.val = state["smooth_loss"]["count"], state["smooth_loss"]["val"]
    for callback in learn.cbs:
        for name, value in state["callbacks"].get(callback.name, {}).items():
            setattr(callback, name, value)


def restore_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Bring an optimiser to a saved state, in the layout of its parameters; raises StateError where it is broken."""
    parameters = [parameter for parameter, *_ in optimiser.all_params()]
    if len(state["state"]) != len(parameters) or len(state["hypers"]) != len(optimiser.hypers):
        raise StateError(f"the checkpoint's optimiser has {len(state['state'])} parameters, ours {len(parameters)}")
    for hypers, saved in zip(optimiser.hypers, state["hypers"], strict=True):
        hypers.update(saved)
    moments = {MOMENTS[part] for part in (getattr(each, "func", each) for each in optimiser.cbs) if part in MOMENTS}
    for number, (parameter, saved) in enumerate(zip(parameters, state["state"], strict=True)):
        tensors = {name: value for name, value in saved.items() if isinstance(value, torch.Tensor)}
        shapes = {value.shape for value in tensors.values()}
        if tensors and not (shapes == {parameter.shape} and saved.keys() >= moments):
            raise StateError(
                f"the checkpoint's optimiser is broken: parameter {number} lacks some of {sorted(moments)}"
            )
        placed = {name: torch.empty_like(parameter).copy_(value) for name, value in tensors.items()}
        optimiser.state[parameter] = {**saved, **placed}
        if tensors:  # after a step a gradient is 0, not None: what a step leaves out decays then all the same
            parameter.grad = torch.zeros_like(parameter)


def _kept(callback: Callback) -> dict[str, Any]:
    return {name: getattr(callback, name) for name in getattr(type(callback), "kept", ())}


def _network(learn: Learner) -> nn.Module:
    return learn.model.module if isinstance(learn.model, DistributedDataParallel) else learn.model
