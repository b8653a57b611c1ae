"""The same draws in the same epoch and step, whatever came before and whatever the number of workers."""

import random

import numpy as np
import torch
from fastai.callback.core import Callback

from utils.ranks import own_rank


class EpochSeed(Callback):
    """Tells the training set which epoch it is drawn for."""

    def before_epoch(self) -> None:
        """Pass the epoch on before the workers start."""
        self.dls.train.dataset.epoch = self.epoch


class StepSeed(Callback):
    """Seeds torch, numpy and random for each training step by its number, and by the process of several.

    So no state of theirs has to be kept to go on in the middle, and nothing beside the training, such as a logger
    that draws a name, can change it.
    """

    run_valid = False

    def __init__(self, seed: int):
        self.seed = seed

    def before_batch(self) -> None:
        """Seed one step."""
        wide, narrow = (
            np.random.SeedSequence([self.seed, self.train_iter, own_rank()]).generate_state(2, np.uint64).tolist()
        )
        torch.manual_seed(wide)
        np.random.seed(narrow % 2**32)
        random.seed(narrow)
