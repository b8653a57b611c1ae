import numpy as np
import pytest
from scipy import ndimage
from skimage import measure, morphology

import data.stitching.postprocess as postprocess
import data.stitching.probability_map as probability_map
from config import load_cfg
from data.patches.grid import whole
from data.stitching.mask import MaskView, to_classes
from data.stitching.mask_rule import MaskRule, build_test_rule
from data.stitching.postprocess import clean_case, clean_map
from data.stitching.probability_map import open_map
from tests.maps import memory_map


@pytest.fixture(params=[512, 7])
def strip_rows(request, monkeypatch):
    """Strips of the usual height and some so low that objects cross many of them."""
    cut = probability_map.strips
    monkeypatch.setattr(postprocess, "strips", lambda shape: cut(shape, request.param))


def clean(values, tmp_path, threshold=0.5, min_object_px=0, max_hole_px=0, low=0.0):
    rule = MaskRule(threshold, low, min_object_px, max_hole_px)
    cleaned = clean_map(memory_map(values, ["a", "b"][: len(values)]), tmp_path / "m.zarr", rule)
    return np.moveaxis(cleaned.read(whole(values.shape[1:])), -1, 0)


def reference(mask, min_object_px, max_hole_px):
    """Objects below the minimum removed, holes up to the maximum filled; those at the border stay."""
    corners = ndimage.generate_binary_structure(mask.ndim, mask.ndim)
    labels = ndimage.label(mask, corners)[0]
    sizes = np.bincount(labels.ravel())
    mask = mask & (sizes[labels] >= min_object_px)
    holes = ndimage.label(~mask)[0]
    at_border = np.unique(
        np.concatenate([np.take(holes, end, axis).ravel() for axis in range(mask.ndim) for end in (0, -1)])
    )
    sizes = np.bincount(holes.ravel())
    return mask | ((holes > 0) & (sizes[holes] <= max_hole_px) & ~np.isin(holes, at_border))


@pytest.mark.usefixtures("strip_rows")
@pytest.mark.parametrize("shape", [(40, 33), (12, 14, 11)])
@pytest.mark.parametrize("sizes", [(0, 4), (5, 0), (6, 9), (2, 1), (1000, 1000)])
def test_strips_clean_as_the_whole_mask_is_cleaned(tmp_path, shape, sizes):
    noise = ndimage.gaussian_filter(np.random.default_rng(3).random(shape), 0.8)
    values = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)[None]
    found = clean(values, tmp_path, 128 / 255, *sizes)
    before = values[0] >= 128
    wanted = reference(before, *sizes)
    np.testing.assert_array_equal(found[0] >= 128, wanted)
    np.testing.assert_array_equal(found[0][before == wanted], values[0][before == wanted])  # the rest stays as it was
    assert set(np.unique(found[0][before != wanted])) <= {0, 255}


@pytest.mark.parametrize("shape", [(60, 50), (14, 15, 16)])
def test_small_objects_are_those_of_skimage(tmp_path, shape):
    mask = np.random.default_rng(0).random(shape) < 0.25
    found = clean(mask[None] * np.uint8(255), tmp_path, min_object_px=5)
    labels = measure.label(mask, connectivity=mask.ndim)
    np.testing.assert_array_equal(found[0] > 0, morphology.remove_small_objects(labels, max_size=4) > 0)


def square(side, at, shape=(20, 20), value=255):
    values = np.zeros((1, *shape), np.uint8)
    values[0, at[0] : at[0] + side, at[1] : at[1] + side] = value
    return values


def test_an_object_of_exactly_the_minimum_is_kept(tmp_path):
    nine = square(3, (4, 4))
    np.testing.assert_array_equal(clean(nine, tmp_path / "a", min_object_px=9), nine)
    assert not clean(nine, tmp_path / "b", min_object_px=10).any()


def test_a_hole_of_exactly_the_maximum_is_filled(tmp_path):
    ring = square(8, (4, 4))
    ring[0, 6:9, 6:9] = 100
    assert (clean(ring, tmp_path / "a", max_hole_px=9)[0, 6:9, 6:9] == 255).all()
    np.testing.assert_array_equal(clean(ring, tmp_path / "b", max_hole_px=8), ring)


@pytest.mark.parametrize("at", [(0, 5), (5, 0), (17, 5), (5, 17)])
def test_holes_at_the_border_stay(tmp_path, at):
    values = 255 - square(3, at)
    np.testing.assert_array_equal(clean(values, tmp_path, max_hole_px=50), values)


def test_an_empty_and_a_full_map_stay_as_they_are(tmp_path):
    for number, value in enumerate((0, 255)):
        values = np.full((1, 9, 9), value, np.uint8)
        np.testing.assert_array_equal(clean(values, tmp_path / str(number), min_object_px=5, max_hole_px=5), values)


def test_objects_that_touch_at_a_corner_are_one_and_holes_are_not(tmp_path):
    values = np.maximum(square(2, (2, 2)), square(2, (4, 4)))
    np.testing.assert_array_equal(clean(values, tmp_path / "a", min_object_px=8), values)
    holes = 255 - values
    assert (clean(holes, tmp_path / "b", max_hole_px=4) == 255).all()


def test_channels_are_cleaned_apart(tmp_path):
    values = np.concatenate([square(2, (2, 2)), square(5, (2, 2))])
    found = clean(values, tmp_path, min_object_px=10)
    assert not found[0].any()
    np.testing.assert_array_equal(found[1], values[1])


def test_a_cleaned_case_is_kept_and_one_with_nothing_to_clean_is_the_map_itself(tmp_path):
    raw = memory_map(square(2, (2, 2)), ["a"])
    assert clean_case(raw, tmp_path / "a.zarr", MaskRule(0.5, 0.5, 1, 0)) is raw
    assert not (tmp_path / "a.zarr").exists()
    assert not clean_case(raw, tmp_path / "a.zarr", MaskRule(0.5, 0, 10)).read(whole((20, 20))).any()
    assert not open_map(tmp_path / "a.zarr").read(whole((20, 20))).any()


def test_the_original_map_is_left_alone(tmp_path):
    values = square(2, (2, 2))
    clean(values, tmp_path, min_object_px=10)
    assert values.any()


def test_an_object_of_another_class_inside_is_no_hole(tmp_path):
    ring, core = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    ring[5:35, 5:35] = 200
    ring[15:25, 15:25] = 0
    core[17:23, 17:23] = 200
    source = memory_map(np.stack([ring, core]), ["a", "b"])
    cleaned = clean_map(source, tmp_path / "map.zarr", MaskRule(0.5, 0, 0, 200))
    mask = to_classes(cleaned.read(whole((40, 40))), 128)
    assert (mask[17:23, 17:23] == 2).all()
    assert mask[16, 16] == 1


@pytest.mark.usefixtures("strip_rows")
@pytest.mark.parametrize("shape", [(60, 53), (14, 15, 16)])
def test_hysteresis_keeps_the_components_of_skimage_that_reach_the_peak(tmp_path, shape):
    noise = ndimage.gaussian_filter(np.random.default_rng(5).random(shape), 1.5)
    values = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)[None]
    low, high = (int(each) for each in np.percentile(values, [85, 96]))
    found = clean(values, tmp_path, high / 255, low=low / 255)
    labels = measure.label(values[0] >= low, connectivity=len(shape))
    wanted = (labels > 0) & np.isin(labels, np.unique(labels[values[0] >= high]))
    assert 0 < wanted.sum() < (labels > 0).sum()
    np.testing.assert_array_equal(found[0] >= low, wanted)
    np.testing.assert_array_equal(found[0][labels == 0], values[0][labels == 0])


def test_an_object_is_grown_down_to_the_lower_threshold_where_it_reaches_the_upper_one(tmp_path):
    values = np.zeros((1, 3, 12), np.uint8)
    values[0, 1] = [0, 90, 140, 200, 140, 90, 0, 140, 140, 0, 0, 0]
    found = clean(values, tmp_path, 0.6, low=0.4)[0, 1]
    assert (found >= round(255 * 0.4)).tolist() == [i in (2, 3, 4) for i in range(12)]
    assert found[:7].tolist() == values[0, 1, :7].tolist()
    assert not found[7:].any()


def test_each_class_reaches_a_threshold_of_its_own(tmp_path):
    values = np.zeros((2, 3, 7), np.uint8)
    values[0, 1] = values[1, 1] = [0, 120, 150, 0, 120, 0, 0]
    found = clean(values, tmp_path, (0.5, 0.7), low=0.4)
    assert found[:, 1].tolist() == [[0, 120, 150, 0, 0, 0, 0], [0] * 7]


@pytest.mark.parametrize(
    ("rule", "extent", "plain"),
    [
        (MaskRule(0.5), 0.5, True),
        (MaskRule(0.5, 0.3), 0.3, False),
        (MaskRule(0.5, 0.6), 0.5, True),
        (MaskRule((0.5, 0.2), 0.3), (0.3, 0.2), False),
        (MaskRule((0.5, 0.2), 0.9), (0.5, 0.2), True),
        (MaskRule((0.5, 0.2)), (0.5, 0.2), True),
        (MaskRule(0.5, 0, 1, 0), 0.5, True),
        (MaskRule(0.5, 0, 2, 0), 0.5, False),
        (MaskRule(0.5, 0, 0, 1), 0.5, False),
    ],
)
def test_a_rule_says_how_far_objects_extend_and_whether_it_changes_a_map(rule, extent, plain):
    assert rule.extent == extent
    assert rule.is_plain == plain


def test_the_config_overrules_what_the_weights_carry_and_zero_does_not():
    tuned = MaskRule((0.4, 0.6), 0.2, 30, 10)
    assert build_test_rule(load_cfg(), tuned) == tuned
    options = ["TEST.TH", "0.7", "TEST.TH_LOW", "0.5", "TEST.MIN_OBJECT", "1", "TEST.MAX_HOLE", "4"]
    assert build_test_rule(load_cfg(options=options), tuned) == MaskRule(0.7, 0.5, 1, 4)


def largest_pieces(mask, classes):
    """Of each class of a mask the largest piece that faces join, the first of equals."""
    kept = np.zeros_like(mask)
    for number in range(1, classes + 1):
        pieces, _ = ndimage.label(mask == number)  # joins over faces
        sizes = np.bincount(pieces.ravel())
        if len(sizes) > 1:
            kept[pieces == 1 + sizes[1:].argmax()] = number
    return kept


@pytest.mark.usefixtures("strip_rows")
@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("threshold", [0.3, (0.6, 0.4)])
@pytest.mark.parametrize("shape", [(60, 50), (14, 15, 16)])
def test_the_largest_object_of_each_class_alone_is_kept(tmp_path, shape, threshold, classes):
    threshold = threshold[:classes] if isinstance(threshold, tuple) else threshold
    noise = ndimage.gaussian_filter(np.random.default_rng(4).random((2, *shape)), (0, *(1,) * len(shape)))
    values = (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)[:classes]
    probabilities, rule = memory_map(values, ["a", "b"][:classes]), MaskRule(threshold, largest=True)
    assert not rule.is_plain
    cleaned = clean_case(probabilities, tmp_path / "m.zarr", rule)
    masks = [MaskView(each.on_frame(shape), threshold).read(whole(shape)) for each in (probabilities, cleaned)]
    np.testing.assert_array_equal(masks[1], largest_pieces(masks[0], classes))
    assert len(np.unique(masks[1])) == classes + 1


@pytest.mark.usefixtures("strip_rows")
def test_pieces_that_meet_at_a_corner_are_two_for_the_largest(tmp_path):
    values = np.zeros((1, 20, 9, 9), np.uint8)
    values[0, 2:9, 2:6, 2:6] = 200
    values[0, 9:18, 6:9, 6:9] = 200  # meets it at a corner alone, 81 against 112 voxels
    found = clean_map(memory_map(values, ["a"]), tmp_path / "m.zarr", MaskRule(0.5, largest=True))
    wanted = values[0].copy()
    wanted[9:] = 0
    np.testing.assert_array_equal(found.read(whole((20, 9, 9)))[..., 0], wanted)


@pytest.mark.usefixtures("strip_rows")
def test_without_any_object_there_is_no_largest(tmp_path):
    values = np.full((1, 10, 6, 6), 20, np.uint8)
    found = clean_map(memory_map(values, ["a"]), tmp_path / "m.zarr", MaskRule(0.5, largest=True))
    assert (found.read(whole((10, 6, 6))) == 20).all()


def test_the_largest_is_kept_where_the_options_say_so():
    assert not build_test_rule(load_cfg(), MaskRule(0.5)).largest
    assert build_test_rule(load_cfg(options=["TEST.LARGEST", "True"]), MaskRule(0.5)).largest
