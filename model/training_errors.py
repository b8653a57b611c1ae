"""What goes wrong in training, told with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MEMORY = ("out of memory", "can't allocate memory", "Unable to allocate")


class TrainingError(ValueError):
    """Training that cannot go on."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason  # fastai puts the callback's name before the arguments of an error


@contextmanager
def training_errors(batch_size: int) -> Iterator[None]:
    """Turn errors of memory and of the processes that load patches into a TrainingError that says what to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = explain(error, batch_size)
        if not reason:
            raise
        raise TrainingError(reason) from error


def explain(error: Exception, batch_size: int) -> str:
    """What to do about an error of training with batches of a size; empty where that is not known."""
    text = str(error)
    if "DataLoader worker" in text and ("killed by signal" in text or "exited unexpectedly" in text):
        return (
            f"a process that loads patches was killed, most often for lack of memory or of shared memory "
            f"({text.splitlines()[0].strip()}); try fewer SOLVER.NUM_WORKERS, or 0, and go on with --resume"
        )
    is_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(part in text for part in MEMORY)
    if not is_memory:
        return ""
    smaller = f"try SOLVER.BATCH_SIZE {batch_size // 2}" if batch_size > 2 else "try a smaller INPUT.SIZE_TRAIN"
    return f"out of memory with SOLVER.BATCH_SIZE {batch_size}; {smaller}, or a smaller network, in a new run"
