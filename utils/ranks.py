"""Several processes that train one network; a rank is the number of one of them, and rank 0 alone writes.

What starts them, `accelerate launch` or `torchrun`, says rank and count in the environment; a process alone is rank 0.
"""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

PATIENCE = timedelta(
    hours=1
)  # for a process that is slow, with its reading for example; the launcher sees one that ends
LOST = ("gloo", "nccl", "closed by peer", "connection reset", "tcpstore")  # in what torch says when a rank has ended


def own_rank() -> int:
    """The number of this process."""
    return int(os.environ.get("RANK", 0))


def rank_count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_writer() -> bool:
    """Whether this process writes files and the log."""
    return own_rank() == 0


def check_ranks(batch_size: int, find_lr: bool) -> None:
    """Raise ValueError for what several processes cannot share."""
    count = rank_count()
    if count == 1:
        return
    import torch

    here, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if gpus and here >= gpus:
        raise ValueError(f"process {here} of this machine finds {gpus} GPUs; start at most one process a GPU")
    if batch_size % count:
        raise ValueError(f"SOLVER.BATCH_SIZE is {batch_size}; {count} processes need a multiple of {count}")
    if find_lr:
        raise ValueError(f"SOLVER.FIND_LR takes one process, not {count}; find the rate first, then train without it")


@contextmanager
def ranks() -> Iterator[None]:
    """Join the processes for as long as the block lasts; raises OSError where one of the others has ended."""
    if rank_count() == 1:
        yield
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    if not is_writer():
        logging.disable(logging.ERROR)  # one process speaks for all, but for what ends another
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error).lower() for sign in LOST):
            raise
        ended = "another process of the training has ended; its own error"
        raise OSError(errno.ECONNRESET, ended, "is above, or in the output of its machine") from error
    finally:
        logging.disable(logging.NOTSET)
    distributed.destroy_process_group()


def agree(value: Any) -> Any:
    """The value that rank 0 has."""
    if rank_count() == 1:
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather_over_ranks(value: Any) -> list[Any]:
    """What each process has, in the order of ranks; every process has to ask."""
    values = [value] * rank_count()
    if rank_count() > 1:
        from torch import distributed

        distributed.all_gather_object(values, value)
    return values


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Each value summed over all processes, exact for counts below 2**53; every process has to ask."""
    if rank_count() == 1:
        return list(values)
    import torch

    total = torch.tensor(values, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
    torch.distributed.all_reduce(total)
    return total.tolist()
