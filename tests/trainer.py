"""train_net.py in a process of its own, forked from one that has imported everything, so that a test can kill it."""

import multiprocessing
import os
import signal
import sys
import threading
import time

from utils.fastai_import import import_fastai

import_fastai()

import test_net  # noqa: E402, F401  tests.reliability.faults tiles and predicts in such processes as well
import tiles_creator  # noqa: E402, F401
import train_net  # noqa: E402
from data.patches import build, tiles  # noqa: E402, F401
from data.stitching import case, postprocess  # noqa: E402, F401
from data.writers import curve, products, results, samples, tuning  # noqa: E402, F401
from model import onnx, predictor  # noqa: E402, F401
from model.learner import PatchLearner  # noqa: E402


def train(argv, log, batch=0, seconds=0.0, number=signal.SIGKILL, kill_loader=False):
    """Run train_net.py in this process, to which a signal is sent so long after a batch, or else to a loader's.

    The moment of the signal is left beside the log.
    """
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    multiprocessing.set_start_method("fork", force=True)  # of the loaders' processes, as always
    left, plain = [batch], PatchLearner.one_batch

    def one_batch(self, *args):
        left[0] -= 1
        if left[0] == 0:
            target = multiprocessing.active_children()[0].pid if kill_loader else os.getpid()
            threading.Timer(seconds, send, [target, number, log]).start()
        plain(self, *args)

    PatchLearner.one_batch = one_batch
    sys.exit(train_net.main(argv))


def send(target, number, log):
    log.with_suffix(".at").write_text(str(time.time()))
    os.kill(target, number)
