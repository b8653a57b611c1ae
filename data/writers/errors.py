"""The picture of what a prediction got wrong: what was found, what was not there and what was missed."""

from pathlib import Path

import numpy as np

from data.sources.labels import IGNORE
from utils.atomic import atomic_path
from utils.colour_key import add_colour_key
from utils.colours import class_palette
from utils.pictures import save_picture

OPACITY = 0.5  # of the colours
KINDS = ("found", "false positive", "missed", "taken for another class")


def error_kinds(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of each pixel of two masks of class indices its place in KINDS, from 1; 0 where both are background; uint8.

    What the labels leave open stays IGNORE.
    """
    kinds = np.select(
        [truth == IGNORE, (truth == predicted) & (truth > 0), truth == predicted, truth == 0, predicted == 0],
        [IGNORE, 1, 0, 2, 3],
        4,
    )
    return kinds.astype(np.uint8)


def write_errors(path: Path, picture: np.ndarray, truth: np.ndarray, predicted: np.ndarray, several: bool) -> None:
    """Write a picture (H, W, 3) in grey with the errors as coloured areas and a key; masks are class indices (H, W)."""
    names = KINDS if several else KINDS[:3]
    grey = np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1)
    kinds = error_kinds(truth, predicted)
    painted = (1 - OPACITY) * grey + OPACITY * np.array(class_palette())[kinds]  # lines would thicken thin errors
    drawn = np.rint(np.where(kinds[..., None] > 0, painted, grey)).astype(np.uint8)
    with atomic_path(path) as draft:
        save_picture(draft, add_colour_key(drawn, names), quality=88)
