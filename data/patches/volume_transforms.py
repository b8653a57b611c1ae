"""Augmentation of volumes by TorchIO, each kind with its probability from the config."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from yacs.config import CfgNode

from data.patches.dataset import Transform
from data.sources.labels import IGNORE
from utils.seed import chance_as_before

if TYPE_CHECKING:
    import torchio

CUBE = (1.0, 1.0, 1.0)
LIGHT = 0.1  # brightness, contrast and intensity change by at most this part of the whole range
Pair = tuple[np.ndarray, np.ndarray]
Steps = Callable[[tuple[int, ...]], "Sequence[torchio.Transform]"]


def build_volume_transform(cfg: CfgNode) -> Transform:
    """A function (image, mask, seed) -> (image, mask) that augments a volume as AUGMENTATION says.

    Images (z, row, column, channels) come out float32 on the scale of 0 to 255; equal seeds, equal results. What an
    affine change brings in from outside is ignored in the mask. Voxels are cubes unless TILES.SPACINGS_UM gives them
    sides. Raises ValueError where TorchIO is missing.
    """
    options, sides = cfg.AUGMENTATION, cfg.TILES.SPACINGS_UM
    spacing = tuple(um / 1000 for um in sides) if sides and all(sides) else CUBE
    axes = tuple(options.FLIP_AXES) or tuple(range(len(CUBE)))
    try:
        import torchio  # noqa: F401  now, so that workers need not
    except ImportError as error:
        raise ValueError(
            "augmentation of volumes needs torchio: pip install --requirement requirements-volumes.txt "
            f"--constraint constraints.txt ({error})"
        ) from error

    def steps(shape: tuple[int, ...]) -> "Sequence[torchio.Transform]":
        lengths = tuple(n * side for n, side in zip(shape, spacing, strict=True))
        return [step for step in (*_warps(options, lengths), *_appearance(options, lengths)) if step.probability > 0]

    def transform(image: np.ndarray, mask: np.ndarray, seed: int) -> Pair:
        chance = np.random.default_rng(seed)
        pair = turn(mirror((image, mask), options.FLIP, axes, chance), options.ROTATE90, chance)
        changed, mask = _by_torchio(pair, spacing, steps(pair[1].shape), seed)
        return relight(changed, options.BRIGHTNESS, options.INTENSITY_SHIFT, chance), mask

    return transform


def mirror(pair: Pair, probability: float, axes: Sequence[int], chance: np.random.Generator) -> Pair:
    """Image (*shape, channels) and mask (*shape) mirrored along each of some axes with a probability."""
    chosen = tuple(axis for axis, draw in zip(axes, chance.random(len(axes)), strict=True) if draw < probability)
    return np.flip(pair[0], chosen), np.flip(pair[1], chosen)


def turn(pair: Pair, probability: float, chance: np.random.Generator) -> Pair:
    """Image and mask turned in the plane of the last two axes, by half a turn only where that is not square."""
    rows, columns = pair[1].shape[-2:]
    quarters = int(chance.integers(4)) if rows == columns else 2 * int(chance.integers(2))
    if chance.random() >= probability:
        return pair
    plane = (pair[1].ndim - 2, pair[1].ndim - 1)
    return np.rot90(pair[0], quarters, plane), np.rot90(pair[1], quarters, plane)


def relight(image: np.ndarray, brightness: float, shift: float, chance: np.random.Generator) -> np.ndarray:
    """An image of 0 to 1 with contrast and brightness changed, and shifted, as it falls; back on the scale of 255."""
    draws, amounts = chance.random(2), chance.uniform(-LIGHT, LIGHT, 3)
    if draws[0] < brightness:
        mean = image.mean(dtype=np.float64)
        image = (image - mean) * (1 + amounts[0]) + mean + amounts[1]
    if draws[1] < shift:
        image = image + amounts[2]
    return (255 * np.clip(image, 0, 1)).astype(np.float32)


def _warps(options: CfgNode, lengths: tuple[float, ...]) -> "list[torchio.Transform]":
    import torchio

    scale, degrees = options.AFFINE_SCALE, options.AFFINE_DEGREES
    shift = [limit for n in lengths for limit in (-options.AFFINE_SHIFT * n, options.AFFINE_SHIFT * n)]
    return [
        torchio.RandomAffine((1 - scale, 1 + scale), degrees, tuple(shift), default_pad_label=IGNORE, p=options.AFFINE),
        torchio.RandomElasticDeformation(5, tuple(0.04 * n for n in lengths), p=options.DISTORTION),
    ]


def _appearance(options: CfgNode, lengths: tuple[float, ...]) -> "list[torchio.Transform]":
    import torchio

    return [
        torchio.RandomMotion(degrees=5, translation=0.04 * min(lengths), num_transforms=2, p=options.MOTION),
        torchio.RandomBiasField(coefficients=0.3, p=options.BIAS_FIELD),
        torchio.RandomBlur(std=(0, 1), p=options.BLUR),
        torchio.RandomGamma(log_gamma=(-0.3, 0.3), p=options.GAMMA),
        torchio.RandomNoise(std=(0, 0.05), p=options.NOISE),
    ]


def _by_torchio(pair: Pair, spacing: tuple[float, ...], steps: "Sequence[torchio.Transform]", seed: int) -> Pair:
    """Image float32 of 0 to 1 and mask after the steps, which draw from torch's generator."""
    import torch
    import torchio

    image = np.ascontiguousarray(np.moveaxis(pair[0], -1, 0), np.float32) / 255
    mask = np.ascontiguousarray(pair[1])[None].copy()
    if steps:
        affine = np.diag([*spacing, 1])
        subject = torchio.Subject(
            image=torchio.ScalarImage(tensor=torch.from_numpy(image), affine=affine),
            mask=torchio.LabelMap(tensor=torch.from_numpy(mask), affine=affine),
        )
        with chance_as_before():
            torch.manual_seed(seed)
            changed = torchio.Compose(steps)(subject)
        image, mask = changed["image"].data.numpy(), changed["mask"].data.numpy().astype(np.uint8)
    return np.moveaxis(image, 0, -1), mask[0]
