"""The network of the benchmarks: a small Unet that learns drawn tissue in about two minutes, so that masks are blobs.

python -m benchmarks.network FOLDER
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from config import load_cfg
from data.synthetic import draw_slide
from model.card import build_card
from model.checkpoints import save_checkpoint
from model.custom_models import build_model
from utils.losses import build_loss

OPTIONS = ["MODEL.ARCHITECTURE", "Unet", "MODEL.ENCODER_NAME", "resnet18", "MODEL.ENCODER_WEIGHTS", "None"]
REDUCTION = 4
FIELDS, FIELD_PX = 6, 3072  # slides to learn from; seed 0 is the field of the benchmark slides, which it never sees
STEPS, BATCH, CROP = 200, 8, 128
LR = 3e-3
Pair = tuple[np.ndarray, np.ndarray]


def draw_reduced(seed: int, side: int = FIELD_PX) -> Pair:
    """Image and mask of a drawn slide at the network's scale."""
    image, mask = draw_slide(seed, (side, side))
    size = (side // REDUCTION,) * 2
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), (share >= 0.5).astype(np.uint8)


def crops(pairs: Sequence[Pair], seed: int) -> Iterator[Pair]:
    """Batches (BATCH, CROP, CROP, 3) and (BATCH, CROP, CROP) without end, mirrored and turned by chance."""
    rng = np.random.default_rng(seed)
    while True:
        batch = []
        for image, mask in (pairs[number] for number in rng.integers(len(pairs), size=BATCH)):
            row, column = rng.integers(0, np.array(mask.shape) - CROP, endpoint=True)
            place = np.s_[row : row + CROP, column : column + CROP]
            turns, mirrored = rng.integers(4), rng.integers(2)
            batch.append([np.rot90(each[place][:: 1 - 2 * mirrored], turns) for each in (image, mask)])
        yield np.stack([image for image, _ in batch]), np.stack([mask for _, mask in batch])


def train(pairs: Sequence[Pair], model: nn.Module, loss_of: nn.Module, mean: np.ndarray, std: np.ndarray) -> None:
    """Fit the network by one cycle of AdamW."""
    optimiser = torch.optim.AdamW(model.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=STEPS)
    model.train().to(memory_format=torch.channels_last)
    for _, (images, masks) in zip(range(STEPS), crops(pairs, seed=0), strict=False):
        normal = torch.from_numpy(((images / 255 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)
        loss = loss_of(model(normal), torch.from_numpy(masks)[:, None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def write_weights(path: Path) -> None:
    """Train the network and write it with its card; the same on every call."""
    cfg = load_cfg("", OPTIONS)
    torch.manual_seed(0)
    pairs = [draw_reduced(seed) for seed in range(1, FIELDS + 1)]
    pixels = np.concatenate([image.reshape(-1, 3) for image, _ in pairs]) / 255
    mean, std = pixels.mean(0), pixels.std(0)
    model = build_model(cfg)
    train(pairs, model, build_loss(cfg), mean, std)
    card = build_card(cfg, mean.tolist(), std.tolist(), spacing_um=1.0)
    save_checkpoint(path, model.state_dict(), replace(card, threshold=0.5))


if __name__ == "__main__":
    write_weights(Path(sys.argv[1]) / "fold0.safetensors")
