"""A box of one sample's image and labels set into another's."""

import numpy as np

from data.patches.grid import Box

Pair = tuple[np.ndarray, np.ndarray]


def draw_box(shape: tuple[int, ...], chance: np.random.Generator) -> Box:
    """A box with the proportions of the image, whose volume is a uniform share of it before its edges cut it.

    Yun et al., 2019, with Beta(1, 1): sides are n * share ** (1 / axes), the centre is anywhere.
    """
    part = chance.random() ** (1 / len(shape))
    size = tuple(round(n * part) for n in shape)
    centre = chance.integers(shape)
    return Box(tuple(int(c) - n // 2 for c, n in zip(centre, size, strict=True)), size).within(shape)


def paste(pair: Pair, other: Pair, box: Box) -> Pair:
    """Image (*shape, channels) and class indices (*shape) of `pair` with those of `other` inside the box."""
    changed = tuple(values.copy() for values in pair)
    for values, source in zip(changed, other, strict=True):
        values[box.slices] = source[box.slices]
    return changed[0], changed[1]
