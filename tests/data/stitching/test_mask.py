import numpy as np
import pytest

from data.patches.grid import Box, whole
from data.stitching.mask import MaskView, to_classes
from data.stitching.probability_map import memory_map


def test_a_pixel_is_foreground_from_the_threshold_on():
    view = memory_map(np.array([[[126, 127, 128, 129]]], np.uint8), ["a"]).on_image((1, 4))
    assert MaskView(view, 128 / 255).read(whole((1, 4))).tolist() == [[0, 0, 1, 1]]
    assert MaskView(view, 1.0).read(whole((1, 4))).tolist() == [[0, 0, 0, 0]]


def test_probability_zero_is_never_foreground_and_255_always():
    view = memory_map(np.array([[[0, 1, 255]]], np.uint8), ["a"]).on_image((1, 3))
    assert MaskView(view, 1e-9).read(whole((1, 3))).tolist() == [[0, 1, 1]]
    assert MaskView(view, 1.0).read(whole((1, 3))).tolist() == [[0, 0, 1]]


def test_every_threshold_of_the_curve_is_its_own_level():
    view = memory_map(np.zeros((1, 1, 1), np.uint8), ["a"]).on_image((1, 1))
    assert [MaskView(view, level / 255).level for level in range(1, 256)] == list(range(1, 256))


def test_the_most_probable_class_counts_and_the_first_of_equals():
    probabilities = np.array([[200, 100], [100, 200], [150, 150], [99, 99], [0, 100]], np.uint8)
    found = to_classes(probabilities, 100)
    assert found.tolist() == [1, 2, 1, 0, 2]
    assert found.dtype == np.uint8


@pytest.mark.parametrize("shape", [(20, 30), (6, 7, 8)])
def test_a_region_of_the_mask_equals_the_mask_of_the_region(shape):
    values = np.random.default_rng(0).integers(0, 256, (2, *(n // 2 for n in shape)), np.uint8)
    view = MaskView(memory_map(values, ["a", "b"]).on_image(shape), 0.6)
    everything = view.read(whole(shape))
    box = Box((1,) * len(shape), tuple(n - 3 for n in shape))
    assert set(np.unique(everything)) == {0, 1, 2}
    np.testing.assert_array_equal(view.read(box), everything[box.slices])
