import numpy as np
import pytest

import data.stitching.probability_map as probability_map
from data.patches.grid import Box, blocks, whole
from data.stitching.mask import MaskView, to_classes, to_level
from data.stitching.probability_map import Frame, ProbabilityMap
from tests.maps import memory_map


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


def test_of_several_thresholds_the_most_probable_class_that_reaches_its_own_wins():
    probabilities = np.array([[200, 100], [100, 90], [150, 150], [99, 79], [0, 80], [255, 254]], np.uint8)
    found = to_classes(probabilities, to_level((201 / 255, 80 / 255)))
    assert found.tolist() == [2, 2, 2, 0, 2, 1]
    same = to_classes(probabilities, to_level((100 / 255, 100 / 255)))
    np.testing.assert_array_equal(same, to_classes(probabilities, 100))


@pytest.mark.parametrize("thresholds", [(0.5, 0.7), (0.9, 0.2)])
def test_a_region_at_several_thresholds_is_that_of_the_whole(thresholds):
    for seed in range(4):
        view = memory_map(islands((20, 30), 2, seed), ["a", "b"]).on_image((83, 100))
        wanted = to_classes(view.read(whole((83, 100))), to_level(thresholds))
        for box in blocks((83, 100), (13, 50)):
            np.testing.assert_array_equal(MaskView(view, thresholds).read(box), wanted[box.slices])


@pytest.mark.parametrize("shape", [(20, 30), (6, 7, 8)])
def test_a_region_of_the_mask_equals_the_mask_of_the_region(shape):
    values = np.random.default_rng(0).integers(0, 256, (2, *(n // 2 for n in shape)), np.uint8)
    view = MaskView(memory_map(values, ["a", "b"]).on_image(shape), 0.6)
    everything = view.read(whole(shape))
    box = Box((1,) * len(shape), tuple(n - 3 for n in shape))
    assert set(np.unique(everything)) == {0, 1, 2}
    np.testing.assert_array_equal(view.read(box), everything[box.slices])


def islands(shape, channels, seed):
    """Zeros with patches of noise about the threshold and of certainty."""
    random = np.random.default_rng(seed)
    values = np.zeros((channels, *shape), np.uint8)
    for number in range(6):
        place = tuple(slice(start := random.integers(n), start + random.integers(1, 2 + n // 2)) for n in shape)
        block = values[(number % channels, *place)]
        block[:] = random.integers(*[(120, 136), (0, 256), (128, 256)][number % 3], block.shape)
    return values


@pytest.mark.parametrize("cells_at_once", [2**20, 150])
@pytest.mark.parametrize("level", [127, 128, 200])
@pytest.mark.parametrize(
    ("own", "shape"),
    [((20, 30), (80, 120)), ((21, 30), (83, 100)), ((20, 30), (20, 30)), ((20, 30), (9, 7)), ((5, 6, 7), (12, 6, 20))],
)
def test_skipping_what_is_certain_changes_no_pixel(monkeypatch, own, shape, level, cells_at_once):
    monkeypatch.setattr(probability_map, "CELLS_AT_ONCE", cells_at_once)
    for seed in range(4):
        channels = 1 + seed % 2
        image = tuple(n + 9 for n in shape)
        frame = Frame((4,) * len(shape), shape, image, ("a", "b")[:channels])
        view = ProbabilityMap(islands(own, channels, seed), frame).on_image(image)
        wanted = to_classes(view.read(whole(image)), level)
        found = MaskView(view, level / 255)
        for size in (13, 50):
            for box in blocks(image, (size,) * len(image)):
                np.testing.assert_array_equal(found.read(box), wanted[box.slices])


def test_only_the_neighbourhood_of_what_may_be_foreground_is_resampled(monkeypatch):
    values = np.zeros((1, 64, 64), np.uint8)
    values[0, 20:23, 40:43] = 200
    view = memory_map(values, ["a"])
    view.frame = Frame((0, 0), (256, 256), (256, 256), ("a",))
    asked = []
    plain = probability_map.resample
    monkeypatch.setattr(
        probability_map, "resample", lambda block, weights: asked.append(block) or plain(block, weights)
    )
    mask = MaskView(view.on_image((256, 256)), 0.5)
    assert mask.read(whole((256, 256))).any()
    assert [block.size <= 9 * 9 for block in asked] == [True]
    assert (MaskView(memory_map(values | 128, ["a"]).on_image((256, 256)), 0.5).read(whole((256, 256))) == 1).all()
    assert len(asked) == 1
