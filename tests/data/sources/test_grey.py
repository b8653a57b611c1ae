import numpy as np
from PIL import Image

from data.patches.grid import Box, whole
from data.sources import ArraySource
from data.sources.grey import GreySource
from data.sources.slide import TiffSource
from tests.slides import noise, write_pyramid


def test_grey_values_are_those_of_pillow():
    image = noise(40, 50, 3)
    found = GreySource(ArraySource(image, (2.0, 3.0)))
    assert (found.channels, found.shape, found.spacing_um, found.dtype) == (1, (40, 50), (2.0, 3.0), np.uint8)
    np.testing.assert_array_equal(found.read(whole((40, 50)))[..., 0], np.asarray(Image.fromarray(image).convert("L")))


def test_where_all_channels_are_equal_nothing_changes():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    found = GreySource(ArraySource(np.repeat(grey, 3, axis=-1))).read(whole((16, 16)))
    np.testing.assert_array_equal(found, grey)


def test_levels_and_their_tiles_stay(tmp_path):
    levels = write_pyramid(tmp_path / "a.tif", noise(64, 96, 3))
    with TiffSource(tmp_path / "a.tif") as colour, GreySource(colour) as found:
        assert found.level_shapes == colour.level_shapes
        assert found.tile_shape(1) == colour.tile_shape(1)
        assert found.frame_level0 == colour.frame_level0
        expected = np.asarray(Image.fromarray(levels[1][4:20, 8:30]).convert("L"))
        np.testing.assert_array_equal(found.read(Box((4, 8), (16, 22)), level=1)[..., 0], expected)
