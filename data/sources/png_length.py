"""Whether a PNG holds as many pixels as it declares; Pillow takes what is missing for black.

The layout is that of the PNG specification, third edition: sections 7.2 (scanlines), 8.1 (interlacing), 11.2 (chunks).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SIGNATURE_BYTES = 8
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by type of colour
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
MOST_DEFLATED = 1032  # times larger than its own bytes deflate can make anything
AT_ONCE = 2**20  # bytes that are unpacked at a time


def lacks_pixels(path: Path) -> bool:
    """Whether a PNG unpacks to less than it declares."""
    with path.open("rb") as file:
        missing, unpack = _declared_bytes(file), zlib.decompressobj()
        for packed in _pixel_data(file):
            while packed and missing > 0 and not unpack.eof:
                missing -= len(unpack.decompress(packed, AT_ONCE))
                packed = unpack.unconsumed_tail
        return missing > 0


def cannot_hold_pixels(path: Path) -> bool:
    """Whether a PNG declares more than its bytes can ever unpack to."""
    with path.open("rb") as file:
        return _declared_bytes(file) > MOST_DEFLATED * path.stat().st_size


def is_interlaced(path: Path) -> bool:
    """Whether the pixels of a PNG come in seven passes."""
    with path.open("rb") as file:
        return bool(_header(file)[-1])


def _header(file: BinaryIO) -> tuple[int, ...]:
    """Columns, rows, bits of a sample, type of colour, and whether the pixels are interlaced."""
    file.seek(SIGNATURE_BYTES + 8)
    columns, rows, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", file.read(13))
    return columns, rows, bits, colour, interlaced


def _declared_bytes(file: BinaryIO) -> int:
    """Bytes of all scanlines, each with one for its filter."""
    columns, rows, bits, colour, interlaced = _header(file)
    total = 0
    for top, left, down, right in PASSES if interlaced else [(0, 0, 1, 1)]:
        height, width = max(0, -(-(rows - top) // down)), max(0, -(-(columns - left) // right))
        total += height * (1 + -(-width * bits * SAMPLES[colour] // 8)) if width else 0
    return total


def _pixel_data(file: BinaryIO) -> Iterator[bytes]:
    """The contents of the chunks of pixels."""
    file.seek(SIGNATURE_BYTES)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            yield file.read(length)
        else:
            file.seek(length, 1)
        file.seek(4, 1)
