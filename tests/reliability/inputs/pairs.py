"""Pairs of images and masks of which one is damaged, missing or of another kind."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.pictures import chunk
from tests.reliability.inputs.truth import Check, mask_is
from tests.reliability.room import ODD, Room, draw, lay_pairs

IMAGE, MASK = draw(7)
GREY = MASK * 255


def pair(room: Room, what: str) -> Check:
    """A folder of pairs, one of which is changed."""
    lay_pairs(room)
    Image.fromarray(IMAGE).save(room.folder / "images" / f"{ODD}.png")
    Image.fromarray(GREY).save(room.folder / "masks" / f"{ODD}.png")
    CHANGES[what](room.folder / "images" / f"{ODD}.png", room.folder / "masks" / f"{ODD}.png")
    return mask_is(lambda: MASK)


def _bomb(path: Path, colour: int, side: int = 50_000) -> None:
    """A small PNG that claims to be huge."""
    header = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks))


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)


def _palette(path: Path) -> None:
    image = Image.fromarray(MASK)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.save(path)


def _sideways(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(IMAGE)).save(path, exif=exif)


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "nothing": lambda image, mask: None,
    "a row less": lambda image, mask: Image.fromarray(GREY[:-1]).save(mask),
    "turned": lambda image, mask: Image.fromarray(GREY.T).save(mask),
    "no mask": lambda image, mask: mask.unlink(),
    "no image": lambda image, mask: image.unlink(),
    "value 7": lambda image, mask: Image.fromarray(MASK * 7).save(mask),
    "colour mask": lambda image, mask: Image.fromarray(IMAGE).save(mask),
    "grey as colours": lambda image, mask: Image.fromarray(np.dstack([GREY] * 3)).save(mask),
    "palette mask": lambda image, mask: _palette(mask),
    "one bit mask": lambda image, mask: Image.fromarray(MASK.astype(bool)).save(mask),
    "JPEG mask": lambda image, mask: Image.fromarray(GREY).save(mask, "JPEG", quality=60),
    "16-bit mask": lambda image, mask: Image.fromarray(MASK.astype(np.uint16) * 300).save(mask),
    "truncated image": lambda image, mask: image.write_bytes(image.read_bytes()[:3000]),
    "truncated mask": lambda image, mask: mask.write_bytes(mask.read_bytes()[:-40]),
    "damaged image": lambda image, mask: _flip(image, 2000),
    "empty image": lambda image, mask: image.write_bytes(b""),
    "text for a mask": lambda image, mask: mask.write_text("mask"),
    "JPEG": lambda image, mask: Image.fromarray(IMAGE).save(image, "JPEG"),
    "GIF": lambda image, mask: Image.fromarray(IMAGE).save(image, "GIF"),
    "PostScript": lambda image, mask: image.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 190 150\n"),
    "image bomb": lambda image, mask: _bomb(image, colour=2),
    "mask bomb": lambda image, mask: _bomb(mask, colour=0),
    "two pictures": lambda image, mask: Image.fromarray(IMAGE).save(
        image, save_all=True, append_images=[Image.fromarray(IMAGE[::-1])]
    ),
    "held sideways": lambda image, mask: _sideways(image),
    "image twice": lambda image, mask: Image.fromarray(IMAGE).save(image.with_suffix(".bmp")),
    "mask twice": lambda image, mask: Image.fromarray(MASK).save(mask.with_suffix(".bmp")),
    "a folder": lambda image, mask: (image.unlink(), image.mkdir()),
    "grey image": lambda image, mask: Image.fromarray(IMAGE[..., 0]).save(image),
    "alpha": lambda image, mask: Image.fromarray(np.dstack([IMAGE, GREY])).save(image),
}
