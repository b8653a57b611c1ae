"""Loading for training: python -m benchmarks.loading --config-file YAML KEY VALUE ...

For each SOLVER.CACHE: seconds to list (and decode) the patches, patches a second from the loaders, and with --train
the share of an epoch that passes between the end of a step and the next batch.
"""

import sys
import time
from collections.abc import Sequence

from yacs.config import CfgNode

from benchmarks.training import LR, Clock
from config import load_cfg
from config.check import CHOICES
from data.cases import list_cases
from data.patches.build import build_dataloaders, build_folds, build_training_set
from data.patches.training_set import TrainingSet
from model.custom_models import build_model
from model.learner import build_learner
from utils.failures import Failures

EPOCHS = 3  # the loaders are read so often; the first time is left out, since it starts Python's workers


def main(argv: Sequence[str]) -> None:
    """Print a line a kind of cache."""
    words, train = [word for word in argv if word != "--train"], "--train" in argv
    config_file = words[1] if words[:1] == ["--config-file"] else ""
    options = words[2:] if config_file else words
    for kind in CHOICES["SOLVER.CACHE"]:
        cfg = load_cfg(config_file, [*options, "SOLVER.CACHE", kind])
        begun = time.perf_counter()
        data, fold_of = list_samples(cfg)
        listed = time.perf_counter() - begun
        line = f"{kind:7} listed in {listed:6.2f} s  {rate(cfg, data, fold_of):7.1f} patches/s"
        print(line + (f"  waiting {100 * waiting(cfg, data, fold_of):.1f} %" if train else ""), flush=True)


def list_samples(cfg: CfgNode) -> tuple[TrainingSet, dict[str, int]]:
    """Samples and folds, as train_net has them."""
    cases, failures = list_cases(cfg).cases, Failures()
    data = build_training_set(cfg, cases, failures)
    return data, build_folds(cfg, cases, data)


def rate(cfg: CfgNode, data: TrainingSet, fold_of: dict[str, int]) -> float:
    """Patches a second that the training loader gives to a network that takes no time."""
    loader = build_dataloaders(cfg, data, fold_of, 0).train
    seconds = []
    for _ in range(EPOCHS):
        begun = time.perf_counter()
        count = sum(len(images) for images, _ in loader)
        seconds.append(time.perf_counter() - begun)
    return count / min(seconds[1:])


def waiting(cfg: CfgNode, data: TrainingSet, fold_of: dict[str, int]) -> float:
    """Share of an epoch of training that is spent waiting for batches."""
    clock = Clock()
    build_learner(build_dataloaders(cfg, data, fold_of, 0), build_model(cfg), cfg, [clock]).fit(1, LR)
    return clock.waited / clock.seconds


if __name__ == "__main__":
    main(sys.argv[1:])
