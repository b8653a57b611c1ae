"""The fastai Learner of this project and how it is run."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.core import Callback, CancelEpochException
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import LRFinder, ParamScheduler, valley
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import nn
from yacs.config import CfgNode

from model.callbacks import EarlyStop, EpochSeed, KeepBest, PooledDice, ProgressBar, StepSeed, StopAtNaN
from model.callbacks.case_dice import CaseDice
from model.callbacks.keep import KeepCycles
from model.callbacks.loss import PooledLoss
from model.callbacks.steps import FreezeEncoder
from model.callbacks.together import TrainTogether
from model.card import ModelCard
from model.checkpoints import save_checkpoint
from model.custom_models import parameter_groups
from model.optimisation import OPTIMIZERS, build_schedule, build_steps
from model.supervision import build_supervision
from model.training_errors import training_errors
from utils.memory import kept_memory
from utils.plots import plot_lr_finder
from utils.ranks import rank_count

log = logging.getLogger(__name__)
FINDER_STEPS = 100


class PatchLearner(Learner):
    """A Learner that can begin in the middle: at `first_epoch`, and there at its loader's `first_batch`."""

    first_epoch = 0

    def _do_fit(self) -> None:
        for epoch in range(self.first_epoch, self.n_epoch):
            self.epoch = epoch
            self._with_events(self._do_epoch, "epoch", CancelEpochException)

    def all_batches(self) -> None:
        """Go through the rest of a loader."""
        self.n_iter = len(self.dl)
        for number, batch in enumerate(self.dl, getattr(self.dl, "first_batch", 0)):
            self.one_batch(number, batch)


def build_learner(dls: DataLoaders, model: nn.Module, cfg: CfgNode, callbacks: Sequence[Callback] = ()) -> Learner:
    """A Learner with the config's loss, optimiser and steps; the encoder is a group of parameters of its own."""
    trained, loss = build_supervision(cfg, model)
    learner = PatchLearner(
        dls,
        trained,
        loss_func=_plain(loss),
        opt_func=OPTIMIZERS[cfg.SOLVER.OPTIMIZER],
        splitter=parameter_groups,
        metrics=[CaseDice(cfg.TEST.LARGEST) if cfg.SOLVER.DICE_OVER == "cases" else PooledDice()],
        wd=cfg.SOLVER.WEIGHT_DECAY,
        cbs=[
            EpochSeed(),
            StepSeed(cfg.SEED),
            StopAtNaN(),
            ProgressBar(),
            *([ChannelsLast()] if cfg.MODEL.AXES == 2 else []),  # there is no such layout of volumes in fastai
            *build_steps(cfg),
            *callbacks,
        ],
    )
    learner.recorder.loss = PooledLoss()
    learner.remove_cb(ProgressCallback)
    learner.logger = lambda *_: None
    if cfg.SOLVER.MIXED_PRECISION and torch.cuda.is_available():
        learner.add_cb(MixedPrecision())
    if cfg.SOLVER.PATIENCE:
        learner.add_cb(EarlyStop(cfg.SOLVER.PATIENCE))
    if rank_count() > 1:
        learner.add_cb(TrainTogether())
    return learner


def keep_weights(network: nn.Module, card: ModelCard, best: Path, last: Path, keep: str = "best") -> KeepBest:
    """A callback that keeps the best epoch at one path and the last at another; if `keep` is 'last', that at both."""
    save_best, save_last = _saving(network, card, best), _saving(network, card, last)

    def save_both(epoch: int, dice: float) -> None:
        save_best(epoch, dice)
        save_last(epoch, dice)

    return KeepBest(lambda *_: None, save_both) if keep == "last" else KeepBest(save_best, save_last)


def build_snapshots(cfg: CfgNode, network: nn.Module, card: ModelCard, folder: Path) -> list[KeepCycles]:
    """What keeps the weights at the end of each of several cycles, in a folder, for an ensemble."""
    cycles = cfg.SOLVER.CYCLES
    paths = [folder / f"fold{card.fold}_cycle{number}.safetensors" for number in range(cycles if cycles > 1 else 0)]
    return [KeepCycles(cfg.SOLVER.EPOCHS // cycles, [_saving(network, card, path) for path in paths])] if paths else []


def _saving(network: nn.Module, card: ModelCard, path: Path) -> Callable[[int, float], None]:
    def save(epoch: int, dice: float) -> None:
        save_checkpoint(path, network.state_dict(), replace(card, epoch=epoch, valid_dice=dice))

    return save


def fit(learner: Learner, cfg: CfgNode) -> None:
    """Train SOLVER.EPOCHS; the encoder learns at ENCODER_LR_FACTOR of the rate of the rest."""
    lr = cfg.SOLVER.LR
    with training_errors(cfg.SOLVER.BATCH_SIZE), kept_memory():
        build_schedule(cfg)(learner, cfg.SOLVER.EPOCHS, slice(lr * cfg.SOLVER.ENCODER_LR_FACTOR, lr))


def plot_rates(learner: Learner, path: Path) -> None:
    """Plot loss against learning rate; the learner, which this drives apart, is of no use afterwards."""
    learner.remove_cbs([StopAtNaN, EarlyStop, FreezeEncoder])
    with training_errors(learner.dls.train.bs):
        learner.fit(FINDER_STEPS // len(learner.dls.train) + 1, cbs=_RisingRate(num_it=FINDER_STEPS))
    rates, losses = torch.tensor(learner.recorder.lrs), torch.tensor(learner.recorder.losses)
    telling = slice(FINDER_STEPS // 10, -5)  # the first steps are noisy, the last ones blow up
    suggestion, _ = valley(rates[telling], losses[telling], FINDER_STEPS)
    plot_lr_finder(rates.numpy(), losses.numpy(), suggestion, path)
    log.info("learning-rate finder suggests SOLVER.LR %.2g", suggestion)


class _RisingRate(LRFinder):
    """fastai's finder without the copy of weights and optimiser that it keeps on disk to restore them."""

    def before_fit(self) -> None:
        """Start with the lowest rate."""
        ParamScheduler.before_fit(self)
        self.best_loss = math.inf

    def after_fit(self) -> None:
        """Restore nothing."""


def _plain(loss: Callable) -> Callable:
    """A loss on plain tensors; fastai wraps batches in tensor classes of its own."""
    return lambda logits, targets: loss(torch.Tensor.as_subclass(logits, torch.Tensor), targets)
