"""Masks of fractions: how much of each pixel is of each class, or how probably."""

import numpy as np
import torch

from data.sources.labels import FULL, IGNORE


def soften(probabilities: np.ndarray) -> np.ndarray:
    """Fractions (*, K) uint8, 0 to FULL, of probabilities (*, K) uint8, 0 to 255, so that 255 is free for IGNORE."""
    return np.round(probabilities * np.float32(FULL / 255)).astype(np.uint8)


def as_fractions(mask: np.ndarray, classes: int, axes: int) -> np.ndarray:
    """A mask of `axes` axes, of class indices, as fractions (*, K): 0, FULL and IGNORE; one of fractions as it is."""
    if mask.ndim > axes:
        return mask
    own = (mask[..., None] == np.arange(1, classes + 1)).astype(np.uint8) * np.uint8(FULL)
    return np.where(mask[..., None] == IGNORE, np.uint8(IGNORE), own)


def soft_target(fractions: np.ndarray) -> torch.Tensor:
    """Target (K, *) float32 of fractions (*, K): 0 to 1, and IGNORE."""
    values = np.where(fractions == IGNORE, np.float32(IGNORE), fractions / np.float32(FULL))
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0)))
