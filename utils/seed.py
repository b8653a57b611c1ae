"""One seed for every source of chance."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed random, numpy and torch, and ask torch for repeatable kernels where it has them."""
    import torch  # a step that cuts tiles needs no torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


@contextmanager
def chance_as_before() -> Iterator[None]:
    """Give random, numpy and torch their states back, so that what the block draws changes nothing that follows."""
    import torch

    own, arrays = random.getstate(), np.random.get_state()
    # the device in use alone: asking another for its state would fill memory there
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(own)
        np.random.set_state(arrays)
