import numpy as np
import pytest

from data.sources.source import ArraySource
from data.writers.slices import slices_of
from tests.maps import memory_map


def ramp(spacing_um=None, channels=1):
    """A volume (4, 6, 8) whose every voxel has a value of its own, float32."""
    values = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8, 1)
    return ArraySource(np.repeat(values, channels, -1), spacing_um)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_with_pixels_like_the_voxels_are_those_of_the_array_with_the_head_up(axis):
    source = ramp()
    slices = slices_of(source, axis, 1.0)
    assert len(slices) == source.shape[axis]
    for number in range(len(slices)):
        wanted = source.array[..., 0].take(number, axis)
        wanted = wanted if axis == 0 else wanted[::-1]  # z, the rows of these slices, runs towards the head
        picture = slices.picture(source, number)
        assert picture.shape == (*slices.picture_shape, 3)
        np.testing.assert_array_equal(picture, np.repeat(wanted[..., None], 3, -1).astype(np.uint8))


def test_masks_and_labels_are_turned_like_the_picture():
    truth = np.zeros((4, 6, 8), np.uint8)
    truth[3, 1, 2] = 2
    probabilities = memory_map(np.stack([truth == 1, truth == 2]) * np.uint8(255), ["a", "b"])
    for axis, place in ((0, 3), (1, 1), (2, 2)):
        slices = slices_of(ramp(), axis, 1.0)
        found = slices.mask(probabilities, 0.5, place)
        np.testing.assert_array_equal(found, slices.labels(ArraySource(truth[..., None]), 2, place))
        wanted = truth.take(place, axis)
        np.testing.assert_array_equal(found, wanted if axis == 0 else wanted[::-1])


def test_pixels_are_square_whatever_the_spacing():
    source = ramp((5000.0, 1000.0, 500.0))  # of 20, 6 and 4 mm
    assert slices_of(source, 0, 500.0).shape == (4, 12, 8)
    assert slices_of(source, 1, 500.0).shape == (40, 6, 8)
    assert slices_of(source, 2, 2000.0).shape == (10, 3, 8)


def test_intensities_beyond_the_range_are_cut_off_and_colours_are_kept():
    values = np.array([[-5.0, 300.0, 127.6]], np.float32).reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(
        slices_of(ArraySource(values), 0, 1.0).picture(ArraySource(values), 0)[0, :, 0], [0, 255, 128]
    )
    colours = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(slices_of(ArraySource(colours), 0, 1.0).picture(ArraySource(colours), 1), colours[1])
    four = ramp(channels=4)
    assert slices_of(four, 0, 1.0).picture(four, 0).shape == (6, 8, 3)
