import contextlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data.sources import SourceError
from data.sources.png_length import PASSES
from tests.data.sources.test_image import read
from tests.pictures import chunk
from tests.slides import noise


def write_png(path, rows, columns, scanlines, interlaced=0, colour=2):
    header = struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, interlaced)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


LINE = b"\0" + bytes(range(1, 31))  # of ten pixels


@pytest.mark.parametrize(
    ("rows", "scanlines", "interlaced"),
    [(5, LINE * 4, 0), (5, LINE * 4 + LINE[:-1], 0), (5, b"", 0), (9, LINE * 5, 1), (400, LINE, 0)],
)
def test_a_png_without_its_last_pixels_is_refused_and_not_filled_with_black(rows, scanlines, interlaced, tmp_path):
    path = write_png(tmp_path / "a.png", rows, 10, scanlines, interlaced)
    with Image.open(path) as image, contextlib.suppress(OSError):
        image.load()  # Pillow takes most of them as they are
    with pytest.raises(SourceError, match=r"a\.png is damaged"):
        read(path)


@pytest.mark.parametrize("last", [0, 7])
def test_a_png_with_a_black_last_row_is_whole(last, tmp_path):
    pixels = noise(6, 10, 3)
    pixels[-1] = 0
    pixels[-1, -1] = last
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    np.testing.assert_array_equal(read(write_png(tmp_path / "a.png", 6, 10, lines)), pixels)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (1, 9), (17, 2)])
def test_an_interlaced_png_is_read_whole_and_refused_without_its_last_pass(shape, tmp_path):
    pixels = noise(*shape, 3)
    parts = [pixels[top::down, left::right] for top, left, down, right in PASSES]
    lines = [b"\0" + row.tobytes() for part in parts if part.size for row in part]
    np.testing.assert_array_equal(read(write_png(tmp_path / "a.png", *shape, b"".join(lines), 1)), pixels)
    with pytest.raises(SourceError, match=r"b\.png is damaged"):
        read(write_png(tmp_path / "b.png", *shape, b"".join(lines[:-1]), 1))


def test_a_png_that_declares_more_than_its_bytes_can_hold_takes_no_memory(tmp_path, monkeypatch):
    path = write_png(tmp_path / "a.png", 4_000_000, 10, LINE * 9)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(SourceError, match="declares 4000000 x 10 pixels, more than its bytes can hold"):
        read(path)


@pytest.mark.parametrize("head", [b"", b"\0\0\0\x05\0\0\0\x05"])
def test_a_png_of_half_a_header_is_an_error_naming_it(head, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b""))
    with pytest.raises(SourceError, match=r"a\.png"):
        read(path)
