"""Photographs and frames: PNG, JPEG and BMP, decoded whole on first use."""

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from data.patches.grid import Box
from data.sources.png_length import cannot_hold_pixels, is_interlaced, lacks_pixels
from data.sources.source import Source, SourceError, TooLargeError, naming

ORIENTATION = 0x0112  # the EXIF tag that cameras set, and what turns a picture upright by its value
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
MODES = {"RGB": 3, "L": 1, "1": 1}
DEEP = ";16B"  # how the modes of PNG files of 16 bits a channel end
FORMATS = ("BMP", "JPEG", "PNG")  # Pillow knows others, by content and not by ending, and runs programs for some


class ImageSource(Source):
    """An image file of 8-bit RGB or grey values, turned upright as its EXIF data says.

    Palettes are kept as indices; other modes are turned into RGB.
    """

    def __init__(self, path: Path):
        self.path = path
        with naming(f"{path.name} cannot be read as an image"), _open(path) as image:
            self._turn = _orientation(image, path)
            sides = (image.height, image.width)
            self.level_shapes = (sides[::-1] if self._turn in SIDEWAYS else sides,)
            self._mode = _readable_mode(image, path)
        self.channels = MODES.get(self._mode, 1)

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (rows, columns, channels) uint8."""
        return self._pixels[box.slices]

    @cached_property
    def _pixels(self) -> np.ndarray:
        with naming(f"{self.path.name} is damaged"), Image.open(self.path, formats=FORMATS) as image:
            if image.format == "PNG":
                _refuse_short_png(image, self.path)
            upright = image.transpose(TURNS[self._turn]) if self._turn in TURNS else image
            pixels = np.asarray(upright if upright.mode == self._mode else upright.convert(self._mode))
            return pixels.reshape(*self.shape, self.channels).astype(np.uint8)


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{path.name} is too large to decode whole; save it as a tiled TIFF ({error})") from error
    except UnidentifiedImageError as error:
        raise SourceError(f"{path.name} cannot be read as an image: it is none of {', '.join(FORMATS)}") from error


def _orientation(image: Image.Image, path: Path) -> int:
    """How a picture is turned, without decoding it, as PNG files do to look for EXIF data behind their pixels."""
    with naming(f"{path.name} has EXIF data that cannot be read, so that its orientation is unknown"):
        return Image.Image.getexif(image).get(ORIENTATION, 1)


def _refuse_short_png(image: Image.Image, path: Path) -> None:
    """Raise ValueError where pixels are missing, for which Pillow puts in black ones; looked for where some may be."""
    if cannot_hold_pixels(path):
        raise ValueError(f"it declares {image.height} x {image.width} pixels, more than its bytes can hold")
    image.load()
    last_row = (0, image.height - 1, image.width, image.height)
    may_lack = is_interlaced(path) or image.crop(last_row).getbbox(alpha_only=False) is None
    if may_lack and lacks_pixels(path):
        raise ValueError(f"it ends before the last of {image.height} x {image.width} pixels")


def _readable_mode(image: Image.Image, path: Path) -> str:
    """The mode to decode to; raises SourceError for what that would change without a word."""
    mode, deep = image.mode, next((str(part[3]) for part in image.tile if str(part[3]).endswith(DEEP)), "")
    if mode.startswith(("I", "F")) or deep:  # of a deep colour picture Pillow would keep the upper bytes
        raise SourceError(f"{path.name} has {deep or mode} pixels of more than 8 bits; convert it to 8 bits")
    frames = getattr(image, "n_frames", 1) if image.format == "PNG" else 1
    if frames > 1:
        raise SourceError(f"{path.name} holds {frames} frames; save the one that is meant as a file of its own")
    return mode if mode in {"RGB", "L", "1", "P"} else "RGB"
