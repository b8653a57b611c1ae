"""The key to a picture in the colours of its classes."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.colours import class_colour
from utils.plots import INK


def add_colour_key(picture: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A picture (H, W, 3) with a white strip below it that says which colour each class 1..K has."""
    size = max(10, round(max(picture.shape[:2]) / 60))
    font = ImageFont.load_default(size)
    places, line, column = [], 0, size
    for name in names:
        width = round(3 * size + font.getlength(name))
        if column + width > picture.shape[1] and column > size:
            line, column = line + 1, size
        places.append((column, size // 2 + line * 2 * size))
        column += width
    strip = Image.new("RGB", (picture.shape[1], 2 * size * (line + 1)), "white")
    draw = ImageDraw.Draw(strip)
    for number, (name, (x, y)) in enumerate(zip(names, places, strict=True), start=1):
        draw.rectangle((x, y, x + size, y + size), fill=class_colour(number))
        draw.text((x + round(1.5 * size), y + size // 2), name, fill=INK, font=font, anchor="lm")
    return np.concatenate([picture, np.asarray(strip)])
