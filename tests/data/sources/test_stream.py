import contextlib
import struct

import imagecodecs
import numpy as np
import pytest

from data.sources.stream import SIZES, jpeg2000_size, jpeg_size, jpegxl_size, png_size, webp_size
from tests.slides import noise

CODECS = [
    (jpeg_size, imagecodecs.jpeg_encode, {}),
    (jpeg2000_size, imagecodecs.jpeg2k_encode, {"codecformat": "j2k"}),
    (jpeg2000_size, imagecodecs.jpeg2k_encode, {"codecformat": "jp2"}),
    (jpegxl_size, imagecodecs.jpegxl_encode, {}),
    (jpegxl_size, imagecodecs.jpegxl_encode, {"usecontainer": True}),
    (png_size, imagecodecs.png_encode, {}),
    (webp_size, imagecodecs.webp_encode, {"lossless": True}),
    (webp_size, imagecodecs.webp_encode, {"level": 80}),
]


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (100, 37), (90, 160), (9, 12), (300, 450), (3, 700)])
@pytest.mark.parametrize(
    ("size", "encode", "options"), CODECS, ids=lambda given: getattr(given, "__name__", str(given))
)
def test_the_size_that_a_stream_declares_is_that_of_the_image_in_it(shape, size, encode, options):
    assert tuple(size(bytes(encode(noise(*shape, 3), **options)))) == shape


def test_a_webp_with_alpha_declares_its_canvas():
    assert tuple(webp_size(imagecodecs.webp_encode(noise(20, 30, 4), level=80))) == (20, 30)


def test_a_jpeg_that_was_cut_off_is_refused():
    with pytest.raises(ValueError, match="no end"):
        jpeg_size(imagecodecs.jpeg_encode(noise(64, 64, 3))[:-60])


@pytest.mark.parametrize("size", sorted(set(SIZES.values()), key=lambda size: size.__name__))
def test_rubbish_is_an_error_or_some_size_and_never_goes_on_for_ever(size):
    rng = np.random.default_rng(0)
    for length in (0, 1, 12, 40, 500):
        with contextlib.suppress(ValueError, struct.error):
            assert len(size(rng.bytes(length) + b"\xff\xd9")) == 2
