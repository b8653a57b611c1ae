"""Run-length texts read and written pixel by pixel, to compare with."""

import numpy as np


def slow_mask(text, shape):
    """The mask (row, column) of 0 and 1 of a text, uint8; None where the text is none."""
    words = text.split()
    if len(words) % 2 or not all(word.isascii() and word.isdigit() and len(word) <= 18 for word in words):
        return None
    rows, columns = shape
    taken = set()
    for start, length in zip(words[::2], words[1::2], strict=True):
        first, count = int(start) - 1, int(length)
        if first < 0 or count < 1 or first + count > rows * columns:
            return None
        own = range(first, first + count)
        if not taken.isdisjoint(own):
            return None
        taken.update(own)
    flat = np.zeros(rows * columns, np.uint8)
    flat[sorted(taken)] = 1
    return flat.reshape(columns, rows).T


def slow_text(mask):
    """The text of a mask: walk down the columns pixel by pixel."""
    text, length, flat = [], 0, [*mask.T.ravel(), 0]
    for place, value in enumerate(flat):
        if value:
            length += 1
        elif length:
            text += [place - length + 1, length]
            length = 0
    return " ".join(map(str, text))
