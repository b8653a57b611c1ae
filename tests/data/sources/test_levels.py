import resource
from collections import Counter

import numpy as np
import pytest
import tifffile

from data.patches.grid import Box, whole
from data.sources import levels, open_source
from data.sources.levels import WithLevel, ensure_level, is_far
from data.sources.slide import _Level
from data.sources.source import ArraySource, CroppedSource, ScaledSource
from tests.slides import noise, write_pyramid


@pytest.fixture(autouse=True)
def small_images_count_as_large(monkeypatch):
    monkeypatch.setattr(levels, "LEAST_PIXELS", 1000)
    monkeypatch.setattr(levels, "VALUES_AT_ONCE", 3000)


@pytest.mark.parametrize(
    ("image_shape", "shape"),
    [
        ((128, 96, 3), (32, 24)),
        ((128, 96, 1), (16, 12)),
        ((131, 97, 3), (33, 24)),
        ((131, 97, 1), (20, 30)),
        ((200, 31, 3), (7, 13)),
        ((40, 44, 36, 1), (10, 11, 9)),
        ((23, 31, 19, 2), (7, 9, 8)),
    ],
)
def test_the_further_level_equals_what_is_read_directly_bit_for_bit(tmp_path, image_shape, shape):
    source = ArraySource(noise(*image_shape), spacing_um=(0.5,) * len(shape))
    direct = ScaledSource(source, shape)
    with ensure_level(source, shape, tmp_path) as fitted:
        assert isinstance(fitted, WithLevel)
        assert fitted.level_shapes == (source.shape, shape)
        view = ScaledSource(fitted, shape)
        assert view.level == 1
        np.testing.assert_array_equal(view.read(whole(shape)), direct.read(whole(shape)))
        box = Box(tuple(n // 3 for n in shape), tuple(n // 2 for n in shape))
        np.testing.assert_array_equal(fitted.read(box, 1), direct.read(box))
        np.testing.assert_array_equal(fitted.read(box), source.read(box))
        assert (fitted.channels, fitted.spacing_um, fitted.frame_level0) == (
            source.channels,
            source.spacing_um,
            source.frame_level0,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_smaller_picture_is_made_of_the_further_level_alone(tmp_path):
    source = ArraySource(noise(128, 96, 3))
    with ensure_level(source, (32, 24), tmp_path) as fitted:
        source.array[:] = 0
        assert ScaledSource(fitted, (16, 12)).read(whole((16, 12))).any()


@pytest.mark.parametrize("shape", [(128, 96), (64, 48), (70, 50)])
def test_an_image_at_most_twice_as_large_is_left_as_it_is(tmp_path, shape):
    source = ArraySource(noise(128, 96, 3))
    with ensure_level(source, shape, tmp_path / "none") as fitted:
        assert fitted is source
    assert not (tmp_path / "none").exists()


def test_a_small_image_is_left_as_it_is(tmp_path):
    source = ArraySource(noise(30, 33, 3))
    with ensure_level(source, (3, 3), tmp_path) as fitted:
        assert fitted is source


def test_where_there_is_a_smaller_level_too_only_what_is_needed_is_read(tmp_path):
    write_pyramid(tmp_path / "a.tif", noise(256, 256, 3), levels=4)
    with open_source(tmp_path / "a.tif") as source:
        assert not is_far(source, (43, 43))  # read from level 2, while tissue is sought on level 3
        assert not is_far(source, (32, 32))
    write_pyramid(tmp_path / "b.tif", noise(256, 256, 3), levels=2)
    with open_source(tmp_path / "b.tif") as source:
        assert is_far(source, (43, 43))


def test_the_frame_of_a_crop_stays(tmp_path):
    crop = CroppedSource(ArraySource(noise(128, 96, 3)), Box((3, 4), (120, 90)))
    with ensure_level(crop, (30, 22), tmp_path) as fitted:
        assert fitted.frame_level0 == (Box((3, 4), (120, 90)), (128, 96))


@pytest.mark.parametrize("layout", [{"tile": (32, 32)}, {"rowsperstrip": 8}], ids=str)
@pytest.mark.parametrize("shape", [(64, 48), (60, 50)])
def test_each_tile_is_decoded_once(tmp_path, monkeypatch, layout, shape):
    image, decoded = noise(256, 192, 3), Counter()
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", compression="zlib", **layout)
    plain = _Level._decode
    monkeypatch.setattr(_Level, "_decode", lambda self, *args: decoded.update([args[1]]) or plain(self, *args))
    with open_source(tmp_path / "a.tif") as source, ensure_level(source, shape, tmp_path) as fitted:
        ScaledSource(fitted, (16, 12)).read(whole((16, 12)))
        pixels = ScaledSource(fitted, shape).read(whole(shape))
    assert set(decoded.values()) == {1}
    np.testing.assert_array_equal(pixels, ScaledSource(ArraySource(image), shape).read(whole(shape)))


def test_a_damaged_slide_is_an_error_and_leaves_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(256, 192, 3), photometric="rgb", tile=(32, 32))
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-9000])
    with (
        open_source(tmp_path / "a.tif") as source,
        pytest.raises(ValueError, match=r"a\.tif is damaged"),
        ensure_level(source, (64, 48), tmp_path / "room"),
    ):
        pass
    assert list((tmp_path / "room").iterdir()) == []


def test_a_disk_that_takes_no_more_is_an_os_error_and_nothing_stays(tmp_path):
    source, limits = ArraySource(noise(128, 96, 3)), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # of the 2304 bytes that are to be written
    try:
        with pytest.raises(OSError, match="too large"), ensure_level(source, (32, 24), tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
