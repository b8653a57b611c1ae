import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from data.cases import Case
from data.patches.grid import Box, whole
from data.sources import labels as labels_module
from data.sources.class_names import ClassNames
from data.sources.labels import (
    IGNORE,
    MaskLabels,
    RleLabels,
    ScaledLabels,
    build_mask_rule,
    by_class,
    by_threshold,
    by_values,
    open_labels,
)
from data.sources.source import ArraySource, CroppedSource, SourceError
from tests.slides import make_cfg, noise
from utils.rle import RleError, decode_rle, encode_rle


def blobs(shape, share=0.5, seed=0):
    """A mask of coarse blocks: runs of many lengths, some across columns."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((-(-shape[0] // 5), -(-shape[1] // 5))) < share
    return coarse.repeat(5, 0).repeat(5, 1)[: shape[0], : shape[1]].astype(np.uint8)


def random_boxes(shape, count=30):
    rng = np.random.default_rng(7)
    for _ in range(count):
        start = tuple(int(rng.integers(0, n)) for n in shape)
        yield Box(start, tuple(int(rng.integers(1, n - a + 1)) for a, n in zip(start, shape, strict=True)))
    yield whole(shape)


@pytest.mark.parametrize("shape", [(31, 47), (1, 9), (9, 1), (64, 64)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_run_lengths_by_region_equal_the_whole_decoded_mask(shape, share):
    text = encode_rle(blobs(shape, share))
    labels = RleLabels([text], shape)
    decoded = decode_rle(text, shape)
    assert (labels.shape, labels.channels) == (shape, 1)
    for box in random_boxes(shape):
        region = labels.read(box)
        assert region.dtype == np.uint8
        np.testing.assert_array_equal(region[..., 0], decoded[box.slices])


def test_one_run_over_many_columns_fills_them():
    labels = RleLabels(["4 9"], (5, 4))  # from row 3 of column 0 to row 1 of column 2
    assert labels.read(whole((5, 4)))[..., 0].T.tolist() == [[0, 0, 0, 1, 1], [1] * 5, [1, 1, 0, 0, 0], [0] * 5]


def test_of_overlapping_classes_the_last_counts():
    labels = RleLabels(["1 4", "3 4", ""], (6, 1)).read(whole((6, 1)))
    assert labels.ravel().tolist() == [1, 1, 2, 2, 2, 2]


def painted(texts, shape):
    """Class indices of run lengths, one class over the other."""
    mask = np.zeros(shape, np.uint8)
    for number, text in enumerate(texts, start=1):
        mask[decode_rle(text, shape) > 0] = number
    return mask


@pytest.mark.parametrize("shape", [(31, 47), (1, 9), (9, 1), (64, 64)])
def test_overlapping_classes_by_region_equal_those_painted_one_over_the_other(shape):
    texts = [encode_rle(blobs(shape, share, seed)) for seed, share in enumerate([0.7, 0.0, 0.4, 0.3])]
    labels, whole_mask = RleLabels(texts, shape), painted(texts, shape)
    for box in random_boxes(shape):
        np.testing.assert_array_equal(labels.read(box)[..., 0], whole_mask[box.slices])
        assert labels.is_empty(box) == (not whole_mask[box.slices].any())


@pytest.mark.parametrize("shape", [(31, 47), (9, 13), (8, 12), (30, 46), (4, 1), (1, 1)])
@pytest.mark.parametrize("shares", [[0.5], [0.6, 0.4, 0.2]])
def test_areas_are_those_of_the_pixels_in_whole_numbers(shape, shares):
    level0 = (31, 47)
    texts = [encode_rle(blobs(level0, share, seed)) for seed, share in enumerate(shares)]
    large = painted(texts, level0).repeat(shape[0], 0).repeat(shape[1], 1)
    cells = large.reshape(shape[0], level0[0], shape[1], level0[1])
    exact = np.stack([(cells == number).sum((1, 3)) for number in range(1, len(shares) + 1)])
    labels = RleLabels(texts, level0)
    for box in random_boxes(shape):
        np.testing.assert_array_equal(labels.areas(box, shape), exact[(slice(None), *box.slices)])


def test_a_bad_run_length_is_found_when_the_labels_are_opened():
    with pytest.raises(RleError, match="ends past"):
        RleLabels(["30 2"], (5, 6))


def save(path, image):
    if path.suffix == ".tif":
        tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
    else:
        Image.fromarray(image).save(path)
    return path


def read_mask(path, rule, box=None):
    with MaskLabels(path, rule) as labels:
        return labels.read(box or whole(labels.shape))[..., 0]


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.bmp"])
@pytest.mark.parametrize("foreground", [1, 255])
def test_masks_of_one_class_may_be_0_and_1_or_0_and_255(tmp_path, name, foreground):
    mask = blobs((31, 47))
    path = save(tmp_path / name, mask * np.uint8(foreground))
    for box in random_boxes((31, 47), 5):
        np.testing.assert_array_equal(read_mask(path, build_mask_rule(make_cfg()), box), mask[box.slices])


def test_one_bit_masks_are_read(tmp_path):
    mask = blobs((31, 47))
    for name in ("m.png", "m.tif"):
        np.testing.assert_array_equal(read_mask(save(tmp_path / name, mask > 0), build_mask_rule(make_cfg())), mask)


def test_values_are_classes_where_there_are_several_and_255_is_ignored(tmp_path):
    mask = noise(20, 30) % 4
    mask[0] = IGNORE
    rule = build_mask_rule(make_cfg(DATASETS_CLASSES=["a", "b", "c"]))
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", mask), rule), mask)


def test_a_palette_mask_gives_its_indices_and_not_its_colours(tmp_path):
    mask = noise(20, 30) % 2
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", build_mask_rule(make_cfg())), mask)


@pytest.mark.parametrize(("classes", "value"), [(["a"], 7), (["a"], 2), (["a", "b"], 3), (["a", "b"], 254)])
def test_a_strange_value_is_named_with_its_file_and_the_way_out(tmp_path, classes, value):
    path = save(tmp_path / "strange.png", np.array([[0, 1], [value, 0]], np.uint8))
    with pytest.raises(SourceError, match=rf"strange\.png has value {value}; set DATASETS\.MASK_THRESHOLD"):
        read_mask(path, build_mask_rule(make_cfg(DATASETS_CLASSES=classes)))


@pytest.mark.parametrize("name", ["colour.png", "colour.tif"])
def test_a_colour_image_is_no_mask(tmp_path, name):
    path = save(tmp_path / name, noise(9, 8, 3))
    with pytest.raises(SourceError, match=rf"{name} is a colour image"):
        read_mask(path, build_mask_rule(make_cfg()))


def test_a_grey_mask_saved_as_rgb_is_read(tmp_path):
    mask = blobs((20, 30))
    path = save(tmp_path / "m.png", np.repeat(mask[..., None] * np.uint8(255), 3, -1))
    np.testing.assert_array_equal(read_mask(path, build_mask_rule(make_cfg())), mask)


def test_a_threshold_counts_from_its_own_value():
    values = np.array([0, 1, 127, 128, 255], np.uint8)
    assert by_threshold(values, 128).tolist() == [0, 0, 0, 1, 1]
    assert build_mask_rule(make_cfg(DATASETS_MASK_THRESHOLD=1))(values).tolist() == [0, 1, 1, 1, 1]


def test_values_of_each_class_are_merged_and_all_others_are_background():
    values = np.array([[0, 10, 20], [30, 40, 255]], np.uint8)
    assert by_values(values, [[10, 20], [40]]).tolist() == [[0, 1, 1], [0, 2, 0]]
    rule = build_mask_rule(make_cfg(DATASETS_MASK_VALUES=[[10, 20, 30], [0, 255]], DATASETS_CLASSES=["a", "b"]))
    assert rule(values).tolist() == [[2, 1, 1], [1, 0, 2]]
    assert rule(values).dtype == np.uint8


def test_ignored_pixels_stay_ignored_only_where_classes_need_their_values():
    values = np.array([0, 1, 255], np.uint8)
    assert by_class(values, 1).tolist() == [0, 1, 1]
    assert by_class(values, 2).tolist() == [0, 1, 255]


def test_labels_of_a_case_come_from_its_texts_by_class_name():
    case = Case("a", Path("a.tif"), {"b": "1 2", "a": "5 1"})
    labels = open_labels(case, (3, 2), ClassNames(["a", "b", "c"]), lambda values: values).read(whole((3, 2)))
    assert labels[..., 0].T.tolist() == [[2, 2, 0], [0, 1, 0]]


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path):
    case = Case("a", tmp_path / "a.tif", save(tmp_path / "a_mask.png", blobs((20, 31))))
    with pytest.raises(SourceError, match=r"its mask a_mask\.png is \(20, 31\); the image a\.tif is \(20, 30\)"):
        open_labels(case, (20, 30), ClassNames(["a"]), build_mask_rule(make_cfg()))


def test_a_case_without_labels_is_an_error_naming_it():
    with pytest.raises(SourceError, match=r"a\.tif has no labels"):
        open_labels(Case("a", Path("a.tif")), (20, 30), ClassNames(["a"]), build_mask_rule(make_cfg()))


def test_a_crop_of_the_labels_is_that_part():
    mask = blobs((31, 47))
    crop = CroppedSource(RleLabels([encode_rle(mask)], (31, 47)), Box((3, 4), (20, 30)))
    np.testing.assert_array_equal(crop.read(Box((1, 2), (5, 6)))[..., 0], mask[4:9, 6:12])


def scaled(mask, shape, classes=1):
    return ScaledLabels(ArraySource(np.asarray(mask, np.uint8)[..., None]), shape, classes).read(whole(shape))


def test_half_of_the_area_makes_a_pixel_foreground_by_hand():
    mask = [[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert scaled(mask, (1, 3)).tolist() == [[1, 0, 0]]
    mask = [[1, 1, 1, 0, 0, 1], [0, 0, 1, 0, 1, 1]]
    assert scaled(mask, (1, 3)).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("factor", [2, 4, 6, 10, 18])
def test_exactly_a_half_is_foreground_and_one_pixel_less_is_not(factor):
    rng, n = np.random.default_rng(0), factor * factor
    for count, expected in ((n // 2, 1), (n // 2 - 1, 0)):
        cells = np.stack([rng.permutation(np.arange(n) < count) for _ in range(100)]).reshape(10, 10, factor, factor)
        mask = cells.swapaxes(1, 2).reshape(10 * factor, 10 * factor)
        assert (scaled(mask, (10, 10)) == expected).all()


def test_reduction_on_odd_sizes_agrees_with_a_slow_reference():
    mask = blobs((31, 47), seed=4)
    large = mask.repeat(9, 0).repeat(13, 1).reshape(9, 31, 13, 47)
    area = large.mean((1, 3))
    assert np.abs(area - 0.5).min() > 1e-4
    np.testing.assert_array_equal(scaled(mask, (9, 13)), area >= 0.5)


def test_of_several_classes_the_largest_counts_if_all_together_fill_half():
    assert scaled([[1, 2], [2, 0]], (1, 1), 2).tolist() == [[2]]
    assert scaled([[1, 2], [0, 0]], (1, 1), 2).tolist() == [[1]]  # both fill a quarter: the first
    assert scaled([[1, 0], [0, 0]], (1, 1), 2).tolist() == [[0]]
    assert scaled([[1, 2, 3, 0]], (1, 1), 3).tolist() == [[1]]


def test_a_pixel_half_ignored_is_ignored():
    assert scaled([[255, 255], [1, 1]], (1, 1), 2).tolist() == [[IGNORE]]
    assert scaled([[255, 1], [1, 1]], (1, 1), 2).tolist() == [[1]]
    assert scaled([[255, 1], [0, 0]], (1, 1), 2).tolist() == [[0]]


def test_at_their_own_shape_labels_come_out_as_they_are():
    mask = noise(20, 30) % 3
    np.testing.assert_array_equal(scaled(mask, (20, 30), 2), mask)


def test_scaled_labels_by_region_equal_the_whole():
    labels = ScaledLabels(RleLabels([encode_rle(blobs((61, 47)))], (61, 47)), (20, 15), 1)
    every = labels.read(whole((20, 15)))
    for box in random_boxes((20, 15)):
        np.testing.assert_array_equal(labels.read(box), every[box.slices])


def test_labels_of_a_volume_are_reduced_along_every_axis():
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[:2, :2, :1] = 1  # half of one block of 2 x 2 x 2
    reduced = scaled(mask, (2, 2, 2))
    assert reduced.sum() == 1
    assert reduced[0, 0, 0] == 1


@pytest.mark.parametrize("shape", [(61, 47), (30, 23), (20, 15), (10, 47), (90, 60)])
@pytest.mark.parametrize("classes", [1, 3])
def test_run_lengths_and_their_pixels_give_the_same_labels_at_any_shape(shape, classes):
    texts = [encode_rle(blobs((61, 47), 0.5, seed)) for seed in range(classes)]
    by_runs = ScaledLabels(RleLabels(texts, (61, 47)), shape, classes)
    by_pixels = ScaledLabels(ArraySource(painted(texts, (61, 47))[..., None]), shape, classes)
    for box in random_boxes(shape, 10):
        np.testing.assert_array_equal(by_runs.read(box), by_pixels.read(box))


def test_run_lengths_know_an_empty_box_without_their_pixels(monkeypatch):
    mask = np.zeros((60, 40), np.uint8)
    mask[20:23, 10:14] = 1
    runs = ScaledLabels(RleLabels([encode_rle(mask)], (60, 40)), (30, 20), 1)
    monkeypatch.setattr(RleLabels, "read", pytest.fail)
    monkeypatch.setattr(RleLabels, "areas", pytest.fail)
    empty = [Box((0, 0), (10, 20)), Box((12, 0), (30, 20)), Box((0, 7), (30, 99)), Box((0, 0), (30, 5))]
    assert [runs.is_empty(box) for box in empty] == [True] * 4
    assert not any(runs.is_empty(box) for box in [whole((30, 20)), Box((9, 4), (2, 2)), Box((10, 6), (9, 9))])
    assert not ScaledLabels(ArraySource(mask[..., None] * 0), (30, 20), 1).is_empty(whole((30, 20)))  # unknown


def test_scaled_run_lengths_without_a_run_in_the_box_are_background():
    mask = np.zeros((64, 64), np.uint8)
    mask[40:, 40:] = 1
    labels = ScaledLabels(RleLabels([encode_rle(mask)], (64, 64)), (32, 32), 1)
    assert not labels.read(Box((0, 0), (16, 20))).any()
    assert labels.read(Box((0, 0), (16, 20))).shape == (16, 20)
    assert labels.read(Box((20, 20), (12, 12))).all()


@pytest.mark.parametrize(
    ("own", "level0"), [((20, 30), (80, 120)), ((21, 30), (83, 100)), ((40, 50), (20, 30)), ((4, 5, 6), (8, 11, 20))]
)
def test_labels_of_one_class_need_no_averaging(monkeypatch, own, level0):
    truth = np.zeros(level0, np.uint8)
    truth[level0[0] // 2 :] = 2
    truth[:5, :7] = np.random.default_rng(0).choice([0, 1, 2, IGNORE], (5, 7, *level0[2:]))
    truth[-4:, -9:] = IGNORE
    view = ScaledLabels(ArraySource(truth[..., None]), own, 2)
    wanted = view.read(whole(own))
    monkeypatch.setattr(labels_module, "VALUES_AT_ONCE", 150)
    asked = []
    plain = view._fractions.read
    monkeypatch.setattr(view._fractions, "read", lambda box: asked.append(math.prod(box.size)) or plain(box))
    np.testing.assert_array_equal(view.read(whole(own)), wanted)
    assert sum(asked) < math.prod(own)
