"""Augmentation of 2-D patches by albumentations, each kind with its probability from the config."""

import random

import albumentations as A
import cv2
import numpy as np
from yacs.config import CfgNode

from data.patches.dataset import Transform

STAINS_OD = {  # optical density of each stain in red, green and blue, by the name in AUGMENTATION.STAINS
    "he": np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]], np.float32),  # Ruifrok and Johnston, 2001
    "pas": np.array([[0.644, 0.717, 0.267], [0.175, 0.972, 0.155]], np.float32),  # Landini's plug-in for ImageJ
}


class StainJitter(A.ImageOnlyTransform):
    """Change the strength of two stains, and the rest, by up to `limit` each, in optical density."""

    def __init__(self, stains: np.ndarray, limit: float = 0.15, p: float = 0.5):
        super().__init__(p=p)
        self.stains = stains
        self.limit = limit

    def get_params(self) -> dict[str, np.ndarray]:
        """One factor a stain."""
        return {"factors": self.random_generator.uniform(1 - self.limit, 1 + self.limit, 3).astype(np.float32)}

    def apply(self, img: np.ndarray, factors: np.ndarray, **params: object) -> np.ndarray:
        """Image (rows, columns, 3) uint8 with its stains made stronger or weaker."""
        return scale_stains(img, factors, self.stains)


def scale_stains(image: np.ndarray, factors: np.ndarray, stains_od: np.ndarray = STAINS_OD["he"]) -> np.ndarray:
    """Multiply the amounts of two stains (2, 3) and of what neither explains by three factors; RGB uint8.

    Optical density is -log10 of the transmitted light; the unmixing is that of Ruifrok and Johnston, 2001.
    """
    stains = stains_od / np.linalg.norm(stains_od, axis=1, keepdims=True)
    rest = np.cross(*stains)
    basis = np.vstack([stains, rest / np.linalg.norm(rest)])
    density = -np.log10((image.astype(np.float32) + 1) / 256)
    changed = density @ np.linalg.inv(basis) * factors @ basis
    return np.clip(np.rint(256 * 10**-changed - 1), 0, 255).astype(np.uint8)


def build_transform(cfg: CfgNode) -> Transform:
    """A function (image, mask, seed) -> (image, mask) that augments as AUGMENTATION says; equal seeds, equal results.

    Pixels that a warp brings in from outside mirror the image and its mask alike. Images are uint8, or float32 of the
    same scale.
    """
    steps = [step for step in [*_geometry(cfg.AUGMENTATION), *_appearance(cfg)] if step.p > 0]
    pipeline = A.Compose(steps)

    def transform(image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        # one pair of generators for all steps: set_random_seed would give each the same draws, and so tie them together
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        is_bytes = image.dtype == np.uint8
        changed = pipeline(image=image if is_bytes else image / np.float32(255), mask=mask)
        pixels = changed["image"] if is_bytes else changed["image"] * np.float32(255)
        warped = changed["mask"].reshape(*pixels.shape[:2], *mask.shape[2:])  # a single channel may have got lost
        return pixels[..., None] if pixels.ndim == 2 else pixels, warped

    return transform


def _geometry(options: CfgNode) -> list[A.BasicTransform]:
    scale, shift, degrees = options.AFFINE_SCALE, options.AFFINE_SHIFT, options.AFFINE_DEGREES
    outside = {"border_mode": cv2.BORDER_REFLECT_101}
    warps = [A.ElasticTransform(alpha=30, sigma=6, **outside), A.GridDistortion(distort_limit=0.2, **outside)]
    chances = [options.FLIP * (not options.FLIP_AXES or axis in options.FLIP_AXES) for axis in (0, 1)]
    return [
        A.HorizontalFlip(p=chances[1]),
        A.VerticalFlip(p=chances[0]),
        A.RandomRotate90(p=options.ROTATE90),
        A.Affine(
            scale=(1 - scale, 1 + scale),
            translate_percent=(-shift, shift),
            rotate=(-degrees, degrees),
            p=options.AFFINE,
            **outside,
        ),
        A.Perspective(scale=(0.02, 0.08), p=options.PERSPECTIVE, **outside),
        A.OneOf(warps, p=options.DISTORTION),
    ]


def _appearance(cfg: CfgNode) -> list[A.BasicTransform]:
    options, colour = cfg.AUGMENTATION, cfg.MODEL.IN_CHANNELS == 3
    steps = [
        A.GaussNoise(std_range=(0.01, 0.05), p=options.NOISE),
        A.OneOf([A.GaussianBlur(blur_limit=(3, 5)), A.MotionBlur(blur_limit=(3, 5))], p=options.BLUR),
        A.CLAHE(clip_limit=(1, 3), p=options.CLAHE),
        A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=options.BRIGHTNESS),
        A.RandomGamma(gamma_limit=(80, 120), p=options.GAMMA),
    ]
    if colour:
        steps.append(A.HueSaturationValue(hue_shift_limit=10, sat_shift_limit=20, val_shift_limit=10, p=options.HSV))
        steps.append(StainJitter(STAINS_OD[options.STAINS], options.STAIN_STRENGTH, p=options.STAIN))
    return steps
