import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage
from shapely.geometry import Polygon

import data.stitching.objects as objects
from data.patches.grid import Box, whole
from data.stitching.mask import MaskView
from data.stitching.objects import find_objects, probability_sums
from data.stitching.probability_map import Frame
from data.stitching.runs import Runs
from tests.maps import memory_map
from tests.objects import find_in_strips, geometry, rasterized

MASKS = npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))
EIGHT = np.ones((3, 3))


def listed(found):
    return [{**vars(each), "polygons": [[r.tolist() for r in rings] for rings in each.polygons]} for each in found]


def label_wholly(mask):
    """Class, area, centroid, box and first pixel of every object, from labels of the whole mask."""
    wanted = []
    for number in range(1, int(mask.max()) + 1):
        labels, count = ndimage.label(mask == number, EIGHT)
        for label in range(1, count + 1):
            rows, columns = np.nonzero(labels == label)
            first = rows[0], columns[rows == rows[0]].min()
            centroid = rows.mean() + 0.5, columns.mean() + 0.5
            box = (rows.min(), columns.min()), (rows.max() + 1, columns.max() + 1)
            wanted.append((number, len(rows), *centroid, *box, first))
    return wanted


@settings(deadline=None, max_examples=150)
@given(MASKS)
def test_strips_of_every_height_give_the_same_objects_in_the_same_order(mask):
    wanted = listed(find_in_strips(mask, len(mask)))
    for rows in range(1, len(mask)):
        assert listed(find_in_strips(mask, rows)) == wanted


@settings(deadline=None, max_examples=150)
@given(MASKS, st.integers(1, 12))
def test_objects_are_those_of_a_labelling_of_the_whole_mask(mask, rows):
    found = [
        (o.class_index, o.area_px, *o.centroid, o.box.start, o.box.stop, o.first) for o in find_in_strips(mask, rows)
    ]
    for one, other in zip(sorted(found), sorted(label_wholly(mask)), strict=True):
        assert one[:2] + one[4:] == other[:2] + other[4:]
        assert one[2:4] == pytest.approx(other[2:4])


@settings(deadline=None, max_examples=150)
@given(MASKS, st.integers(1, 12))
def test_polygons_are_valid_and_give_the_mask_back(mask, rows):
    found = find_in_strips(mask, rows)
    for each in found:
        assert geometry(each.polygons).is_valid
        assert geometry(each.polygons).area == each.area_px
        assert all(Polygon(outer).exterior.is_simple for outer, *_ in each.polygons)
    np.testing.assert_array_equal(rasterized(found, mask.shape), mask)


def test_pixels_that_touch_at_a_corner_are_one_object_of_two_polygons():
    (found,) = find_in_strips(np.array([[1, 1, 0, 0], [0, 0, 1, 0]], np.uint8), 1)
    assert (found.area_px, found.first, found.box) == (3, (0, 0), Box((0, 0), (2, 3)))
    assert [outer.tolist() for (outer,) in found.polygons] == [
        [[0, 0], [0, 2], [1, 2], [1, 0]],
        [[1, 2], [1, 3], [2, 3], [2, 2]],
    ]


def test_an_object_in_the_hole_of_another_is_its_own():
    mask = np.array([[1] * 5, [1, 0, 0, 0, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 1], [1] * 5], np.uint8)
    inner, outer = find_in_strips(mask, 2)
    assert (inner.area_px, outer.area_px) == (1, 16)
    assert [len(polygon) for polygon in outer.polygons] == [2]


def test_objects_come_as_soon_as_no_row_can_belong_to_them():
    finder = objects.ObjectFinder(4)
    row = np.array([[1, 0, 0, 1]], np.uint8)
    assert finder.add(row) == []
    assert [each.first for each in finder.add(np.array([[0, 0, 0, 1]], np.uint8))] == [(0, 0)]
    assert [each.first for each in finder.add(np.zeros((2, 4), np.uint8))] == [(0, 3)]
    assert finder.finish() == []


def test_what_is_finished_is_not_held():
    finder = objects.ObjectFinder(64)
    for _ in range(50):
        finder.add(np.tile(np.array([[0, 1, 1, 0]], np.uint8), (1, 16)))
        assert len(finder.add(np.zeros((1, 64), np.uint8))) == 16
    state = (finder._rings, finder._polygons, finder._measures, finder._outlines._open, finder._part_of_run)
    assert [len(each) for each in state] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("box", "touches"),
    [((1, 1, 2, 2), False), ((0, 1, 1, 1), True), ((1, 0, 1, 1), True), ((2, 1, 2, 1), True), ((1, 3, 1, 1), True)],
)
def test_an_object_touches_the_border_where_it_ends_at_one(box, touches):
    found = objects.MaskObject(1, (0, 0), Box(box[:2], box[2:]), 1, (0.5, 0.5), 0, [])
    assert found.touches_border(whole((4, 4))) == touches


def smooth_map(own, level0, start, image, classes, seed=0):
    noise = np.random.default_rng(seed).random((len(classes), *own))
    values = ndimage.gaussian_filter(noise, (0, 2, 2))
    probabilities = memory_map((255 * (values - values.min()) / np.ptp(values)).astype(np.uint8), classes)
    probabilities.frame = Frame(start, level0, image, tuple(classes))
    return probabilities


@pytest.mark.parametrize(
    ("own", "level0", "start", "image"),
    [
        ((40, 50), (161, 203), (0, 0), (161, 203)),
        ((40, 50), (83, 90), (11, 7), (120, 100)),
        ((40, 50), (20, 30), (0, 0), (20, 30)),  # a map that is finer than its image
        ((40, 50), (40, 50), (5, 5), (45, 60)),
    ],
)
@pytest.mark.parametrize("classes", [["a"], ["a", "b"]])
def test_objects_of_a_map_are_those_of_its_mask_at_level_0(monkeypatch, own, level0, start, image, classes):
    monkeypatch.setattr(objects, "STRIP_PX", 7 * image[1])
    probabilities = smooth_map(own, level0, start, image, classes)
    view = probabilities.on_image(image)
    mask = MaskView(view, 0.5).read(whole(image))
    found = list(find_objects(probabilities, 0.5))
    assert {each.class_index for each in found} == set(range(1, len(classes) + 1))
    np.testing.assert_array_equal(rasterized(found, image), mask)
    cells = [np.minimum((2 * np.arange(n) + 1) * m // (2 * n), m - 1) for n, m in zip(level0, own, strict=True)]
    nearest = np.zeros((*image, len(classes)), np.int64)
    nearest[Box(start, level0).slices] = probabilities.read(whole(own))[np.ix_(*cells)]
    for number in range(1, len(classes) + 1):
        labels, _ = ndimage.label(mask == number, EIGHT)
        for each in found:
            if each.class_index == number:
                assert each.weight == nearest[..., number - 1][labels == labels[each.first]].sum()


def test_probability_sums_by_hand():
    view = memory_map(np.array([[[10, 20], [30, 40]]], np.uint8), ["a"])
    view.frame = Frame((0, 0), (4, 6), (4, 6), ("a",))
    runs = Runs(*(np.array(each) for each in ([1, 2, 4], [0, 2, 1], [6, 4, 2], [1, 1, 1])))
    assert probability_sums(view.on_image((4, 6)), 0, runs).tolist() == [90, 30, 30]


def test_an_empty_map_has_no_objects():
    assert list(find_objects(memory_map(np.zeros((1, 30, 40), np.uint8), ["a"]), 0.5)) == []
