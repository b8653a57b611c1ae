"""One seed for every source of chance."""

import random

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed random, numpy and torch, and ask torch for repeatable kernels where it has them."""
    import torch  # a step that cuts tiles needs no torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
