"""train_net.py in processes of its own that train together, forked from one that has imported everything."""

import multiprocessing
import os
import socket
import sys
from contextlib import closing

from torch import nn

from utils.fastai_import import import_fastai

import_fastai()

import train_net  # noqa: E402
from data.patches import build  # noqa: E402, F401
from data.writers import results, samples  # noqa: E402, F401
from model.custom_models import ARCHITECTURES  # noqa: E402
from model.learner import PatchLearner  # noqa: E402

SECONDS = 120


class Plain(nn.Module):
    """A network without batch norm and dropout, and with a parameter of which the output does not depend."""

    def __init__(self, encoder_name, weights, in_channels, classes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU())
        self.unused = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, images):
        return self.head(self.encoder(images))


def train(argv, log, rank, count, port, network, hook):
    """Run train_net.py as one of several processes; `hook(rank, step)` is called before every batch."""
    with open(f"{log}.{rank}", "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if network:
        ARCHITECTURES["FPN"] = network
    steps, plain = [0], PatchLearner.one_batch

    def one_batch(self, *args):
        steps[0] += 1
        hook(rank, steps[0])
        plain(self, *args)

    PatchLearner.one_batch = one_batch
    sys.exit(train_net.main(argv))


def nothing(rank, step):
    """What is done before a batch."""


def train_together(argv, log, count, network=Plain, hook=nothing):
    """Exit codes of `count` processes, by rank; what they print is in `log`.<rank>."""
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["tests.ranks"])
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        fork.Process(target=train, args=(argv, log, rank, count, port, network, hook)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]
