import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from data.patches.grid import Box, whole
from data.sources import READERS, open_source
from data.sources import source as source_module
from data.sources.source import (
    ArraySource,
    CroppedSource,
    ScaledSource,
    Source,
    SourceError,
    best_level,
    block_shape,
    model_shape,
)
from tests.slides import noise


class Levels(Source):
    """Arrays as levels, remembering what was read."""

    def __init__(self, *arrays):
        self.arrays = arrays
        self.level_shapes = tuple(array.shape[:-1] for array in arrays)
        self.channels = arrays[0].shape[-1]
        self.read_pixels = []
        self.used = set()

    def read(self, box, level=0):
        assert box.within(self.level_shapes[level]) == box
        self.used.add(level)
        self.read_pixels.append(int(np.prod(box.size)))
        return self.arrays[level][box.slices]


def area_average(image, shape):
    """Slow exact area average of (rows, columns, channels): repeat each pixel, then take means of equal blocks."""
    rows, columns = shape
    large = image.repeat(rows, 0).repeat(columns, 1).astype(np.float64)
    blocks = large.reshape(rows, image.shape[0], columns, image.shape[1], -1)
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)


@pytest.mark.parametrize("shape", [(31, 47), (7, 11), (10, 20), (1, 1), (31, 20)])
def test_a_scaled_image_is_the_area_average_of_the_whole(shape):
    image = noise(31, 47, 3)
    scaled = ScaledSource(ArraySource(image), shape).read(whole(shape))
    assert scaled.dtype == np.uint8
    exact = area_average(image, shape)
    assert np.abs(scaled.astype(int) - exact).max() <= 1  # halves may round either way
    assert (scaled == exact).mean() > 0.97


@pytest.mark.parametrize("shape", [(31, 47), (13, 20), (62, 50)])
def test_boxes_read_apart_equal_the_whole_bit_for_bit(shape):
    view = ScaledSource(ArraySource(noise(31, 47, 3)), shape)
    every = view.read(whole(shape))
    for row in range(0, shape[0] - 4, 5):
        for column in range(0, shape[1] - 6, 7):
            box = Box((row, column), (4, 6))
            np.testing.assert_array_equal(view.read(box), every[box.slices])


@pytest.mark.parametrize("shape", [(23, 10), (31, 41), (93, 82)])
@pytest.mark.parametrize("at_once", [1, 300, 3000])
def test_reading_in_pieces_changes_nothing_and_bounds_what_is_held(monkeypatch, at_once, shape):
    source = Levels(noise(93, 41, 3))
    expected = ScaledSource(source, shape).read(whole(shape))
    source.read_pixels.clear()
    monkeypatch.setattr(source_module, "VALUES_AT_ONCE", at_once)
    np.testing.assert_array_equal(ScaledSource(source, shape).read(whole(shape)), expected)
    assert max(source.read_pixels) <= max(at_once / 3, 6 * 6) * 1.5


class Tiled(Levels):
    """Levels that count how often each of their tiles is touched."""

    def __init__(self, array, tile):
        super().__init__(array)
        self.tile = tile
        self.touched = Counter()

    def tile_shape(self, level):
        return self.tile

    def read(self, box, level=0):
        spans = [range(a // n, (b - 1) // n + 1) for a, b, n in zip(box.start, box.stop, self.tile, strict=True)]
        self.touched.update(itertools.product(*spans))
        return super().read(box, level)


@pytest.mark.parametrize(("tile", "shape"), [((16, 16), (40, 24)), ((8, 96), (40, 48)), ((160, 96), (160, 48))])
def test_pieces_of_an_image_meet_where_its_tiles_do(monkeypatch, tile, shape):
    source = Tiled(noise(160, 96, 1), tile)
    monkeypatch.setattr(source_module, "VALUES_AT_ONCE", 1600)
    view = ScaledSource(source, shape)
    pieces = view.pieces(whole(shape), 1600)
    assert pieces[0].start == (0, 0)
    assert sum(np.prod(piece.size) for piece in pieces) == np.prod(shape)
    view.read(whole(shape))
    assert max(source.read_pixels) <= 1600
    if np.prod(tile) <= 1600:
        assert set(source.touched.values()) == {1}


@pytest.mark.parametrize(
    ("tile", "shape", "most", "block"),
    [
        ((256, 256), (65536, 65536), 2**22, (2048, 2048)),
        ((256, 256), (65536, 65536), 2**21, (2048, 1024)),
        ((16, 65536), (65536, 65536), 2**22, (64, 65536)),
        ((1, 1), (300, 200), 2**22, (512, 256)),
        ((1, 1, 1), (64, 512, 512), 2**18, (64, 64, 64)),
        ((4096, 4096), (4096, 4096), 2**22, (2048, 2048)),
        ((1, 1), (5, 5), 1, (1, 1)),
    ],
)
def test_a_block_is_made_of_whole_tiles_and_bounded(tile, shape, most, block):
    assert block_shape(tile, shape, most) == block


def test_a_volume_is_scaled_and_padded_like_a_picture():
    volume = noise(9, 10, 11, 2)
    view = ScaledSource(ArraySource(volume), (3, 5, 11))
    expected = np.rint(volume.reshape(3, 3, 5, 2, 11, 2).mean((1, 3)))
    assert np.abs(view.read(whole((3, 5, 11))).astype(int) - expected).max() <= 1
    padded = view.read(Box((0, 0, 0), (4, 8, 12)))
    np.testing.assert_array_equal(
        padded, np.pad(view.read(whole((3, 5, 11))), [(0, 1), (0, 3), (0, 1), (0, 0)], "symmetric")
    )


def test_at_its_own_shape_an_image_comes_out_as_it_is():
    image = noise(31, 47, 3)
    np.testing.assert_array_equal(
        ScaledSource(ArraySource(image), (31, 47)).read(Box((3, 4), (10, 20))), image[3:13, 4:24]
    )


def test_a_box_past_the_edge_is_mirrored_once():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    pixels = ScaledSource(ArraySource(image), (3, 4)).read(Box((0, 0), (5, 6)))[..., 0]
    assert pixels.tolist() == [
        [0, 1, 2, 3, 3, 2],
        [4, 5, 6, 7, 7, 6],
        [8, 9, 10, 11, 11, 10],
        [8, 9, 10, 11, 11, 10],
        [4, 5, 6, 7, 7, 6],
    ]


def test_a_box_past_the_first_pixel_is_mirrored_too():
    image = np.arange(4, dtype=np.uint8).reshape(1, 4, 1)
    assert ScaledSource(ArraySource(image), (1, 4)).read(Box((0, -2), (1, 4)))[0, :, 0].tolist() == [1, 0, 0, 1]


def test_an_image_far_smaller_than_the_box_fills_it():
    pixels = ScaledSource(ArraySource(np.array([[[5], [9]]], np.uint8)), (1, 2)).read(Box((0, 0), (3, 9)))
    assert pixels[..., 0].tolist() == [[5, 9, 9, 5, 5, 9, 9, 5, 5]] * 3


@pytest.mark.parametrize(
    ("shape", "level"),
    [((100, 80), 0), ((51, 40), 0), ((50, 40), 1), ((30, 30), 1), ((25, 20), 2), ((3, 3), 2), ((200, 160), 0)],
)
def test_the_smallest_level_that_is_large_enough_is_read(shape, level):
    source = Levels(noise(100, 80, 3), noise(50, 40, 3), noise(25, 20, 3))
    assert best_level(source, shape) == level
    ScaledSource(source, shape).read(Box((0, 0), (1, 1)))
    assert source.used == {level}


@pytest.mark.parametrize(
    ("reduction", "shape"),
    [(1, (101, 67)), (2, (50, 33)), (4, (25, 17)), (3, (34, 22)), (2.5, (40, 27)), (1000, (1, 1))],
)
def test_the_shape_of_the_network_is_that_of_a_level_close_by_or_the_rounded_one(reduction, shape):
    source = Levels(noise(101, 67, 3), noise(50, 33, 3))
    assert model_shape(source, reduction) == shape


def test_a_crop_counts_from_its_corner_and_remembers_its_frame():
    image = noise(20, 30, 3)
    crop = CroppedSource(ArraySource(image, spacing_um=(0.5, 0.5)), Box((3, 4), (10, 20)))
    assert (crop.shape, crop.channels, crop.spacing_um) == ((10, 20), 3, (0.5, 0.5))
    assert crop.frame_level0 == (Box((3, 4), (10, 20)), (20, 30))
    np.testing.assert_array_equal(crop.read(whole(crop.shape)), image[3:13, 4:24])
    np.testing.assert_array_equal(crop.read(Box((1, 2), (3, 4))), image[4:7, 6:10])


def test_an_image_without_a_crop_is_its_own_frame():
    source = ArraySource(noise(20, 30, 3))
    assert source.frame_level0 == (Box((0, 0), (20, 30)), (20, 30))


@pytest.mark.parametrize("box", [Box((11, 0), (10, 30)), Box((0, 0), (20, 31)), Box((-1, 0), (5, 5))])
def test_a_crop_past_the_image_is_refused(box):
    with pytest.raises(SourceError, match=r"DATASETS\.CROP"):
        CroppedSource(ArraySource(noise(20, 30, 3)), box)


@pytest.mark.parametrize("shape", [(48, 64), (123, 64), (61, 157)])
def test_sides_that_shrink_by_any_factor_are_the_area_average_of_opencv(shape):
    image = noise(123, 157, 3)
    found = ScaledSource(ArraySource(image), shape).read(whole(shape))
    expected = cv2.resize(image.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(found - expected).max() < 0.51


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5, 1e-309), (5.0, 5)])
def test_an_image_without_pixels_or_with_sides_that_are_no_whole_numbers_is_refused_and_closed(
    shape, tmp_path, monkeypatch
):
    closed = []

    class Odd(Source):
        def __init__(self, path):
            self.level_shapes = ((9, 9), shape)

        def close(self):
            closed.append(True)

    (tmp_path / "a.png").touch()
    monkeypatch.setitem(READERS, ".png", Odd)
    with pytest.raises(SourceError, match=r"a\.png is damaged: it declares levels"):
        open_source(tmp_path / "a.png")
    assert closed == [True]
