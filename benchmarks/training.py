"""Training: the share of a step spent waiting for data, and images a second against a bare loop on tensors in memory.

python -m benchmarks.training [--quick]
"""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from yacs.config import CfgNode

import tiles_creator
from benchmarks.figures import Figure, options, ratio, save, size_name
from benchmarks.memory import ensure_slide
from benchmarks.network import OPTIONS
from config import load_cfg
from data.cases import list_cases
from data.patches.build import build_dataloaders, build_folds, build_training_set
from model.custom_models import build_model
from model.learner import build_learner
from utils.failures import Failures
from utils.losses import build_loss

SIDES = {False: (16384, 4096), True: (4096, 2048)}  # of the slide to learn from and of the one to validate on
REPEATS = 2
LR = 1e-3


class Clock(Callback):
    """Notes how long an epoch's training takes and how much of it passes between a step's end and the next batch."""

    def before_train(self) -> None:
        """Start."""
        self.begun = self.last = time.perf_counter()
        self.waited = 0.0

    def before_batch(self) -> None:
        """The batch is here."""
        if self.training:
            self.waited += time.perf_counter() - self.last

    def after_batch(self) -> None:
        """The step is done."""
        self.last = time.perf_counter()

    def after_train(self) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.begun


def main(argv: Sequence[str]) -> None:
    """Train an epoch and run the bare loop by turns."""
    args = options("Measure training steps.").parse_args(argv)
    cfg = cut_slides(args.folder, *SIDES[args.quick])
    dls = build_loaders(cfg)
    batches = list(dls.train)
    images = sum(len(batch[0]) for batch in batches)
    share, spent, bare = [], [], []
    for _ in range(REPEATS):
        clock = Clock()
        build_learner(dls, build_model(cfg), cfg, [clock]).fit(1, LR)
        share.append(clock.waited / clock.seconds)
        spent.append(clock.seconds)
        bare.append(bare_seconds(cfg, batches))
    row = {
        "images": images,
        "batch": cfg.SOLVER.BATCH_SIZE,
        "workers": cfg.SOLVER.NUM_WORKERS,
        "waiting": share,
        "images_per_s": [images / each for each in spent],
        "bare_images_per_s": [images / each for each in bare],
    }
    figures = [
        Figure("training_waiting_share", median(share), "<0.10"),
        Figure("training_speed_over_bare_loop", ratio(bare, spent), ">0.80"),
    ]
    save(args.folder, "training", figures, [row])


def cut_slides(folder: Path, *sides: int) -> CfgNode:
    """Tiles of several benchmark slides in one folder, and the config that trains on the first of them."""
    room, names = folder / "scratch" / "training", [size_name(side) for side in sides]
    shutil.rmtree(room, ignore_errors=True)
    (room / "slides").mkdir(parents=True)
    lines = ["id,encoding"]
    for side, name in zip(sides, names, strict=True):
        home = ensure_slide(folder, side)
        (room / "slides" / f"{name}.tiff").symlink_to(home / "slides" / f"{name}.tiff")
        lines += (home / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    (room / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"WSI_FOLDER": room / "slides", "LABELS_CSV": room / "labels.csv", "TRAIN_FOLDER": room / "tiles"}
    data["FOLD_GROUPS"] = [[name] for name in names[::-1]]
    words = [
        *OPTIONS,
        "SOLVER.NUM_WORKERS",
        "2",
        *(word for key, value in data.items() for word in (f"DATASETS.{key}", str(value))),
    ]
    tiles_creator.main(words)
    return load_cfg("", words)


def build_loaders(cfg: CfgNode) -> DataLoaders:
    """The loaders that train_net makes of those tiles."""
    cases, failures = list_cases(cfg).cases, Failures()
    data = build_training_set(cfg, cases, failures)
    return build_dataloaders(cfg, data, build_folds(cfg, cases, data), fold=0)


def bare_seconds(cfg: CfgNode, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Seconds of as many steps with the same network, loss and kind of optimiser on tensors in memory."""
    model, loss_of = build_model(cfg).train().to(memory_format=torch.channels_last), build_loss(cfg)
    optimiser = torch.optim.AdamW(model.parameters(), LR)
    ready = [(images.contiguous(memory_format=torch.channels_last), masks) for images, masks in batches]
    begun = time.perf_counter()
    for images, masks in ready:
        loss = loss_of(model(images), masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(sys.argv[1:])
