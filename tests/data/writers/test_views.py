import numpy as np
import pytest

import data.stitching.probability_map as probability_map
import data.writers.views as views
from data.sources.labels import IGNORE
from data.sources.source import ArraySource
from data.writers.overlay import small_masks
from data.writers.views import GAP_PX, orthogonal_masks, widest_places
from tests.maps import memory_map

SHAPE = (10, 20, 30)


def volume(*boxes, value=1):
    mask = np.zeros(SHAPE, np.uint8)
    for places in boxes:
        mask[places] = value
    return mask


def as_map(mask):
    return memory_map((mask[None] == 1) * np.uint8(255), ["a"])


def labels(mask):
    return ArraySource(mask[..., None])


LARGE = np.s_[2:5, 4:9, 20:26]
PLATE = np.s_[3, 2:12, 19:29]  # makes slice 3 the widest across z
ROD = np.s_[2:9, 5:7, 22:24]


@pytest.fixture(params=[64, 3])
def strip_rows(request, monkeypatch):
    cut = probability_map.strips
    monkeypatch.setattr(views, "strips", lambda shape: cut(shape, request.param))


@pytest.mark.usefixtures("strip_rows")
def test_the_slices_shown_are_those_with_most_of_the_labels():
    truth, predicted = volume(LARGE, PLATE, ROD), volume(np.s_[8, 15, 1])
    places = widest_places(labels(truth), as_map(predicted), 0.5, SHAPE)
    for axis, place in enumerate(places):
        counts = truth.sum(tuple(each for each in range(3) if each != axis))
        assert counts[place] == counts.max()
    assert places[0] == 3


@pytest.mark.usefixtures("strip_rows")
def test_without_labels_the_prediction_says_where_to_look_and_without_both_the_middle_is_shown():
    predicted = volume(np.s_[8, 15, 1])
    ignored = volume(np.s_[2:4, 2:4, 2:4], value=IGNORE)
    assert widest_places(None, as_map(predicted), 0.5, SHAPE) == [8, 15, 1]
    assert widest_places(labels(ignored), as_map(predicted), 0.5, SHAPE) == [8, 15, 1]
    assert widest_places(None, as_map(volume()), 0.5, SHAPE) == [5, 10, 15]


def test_places_of_a_smaller_map_are_those_of_the_image():
    assert widest_places(None, as_map(volume(np.s_[8, 15, 1])), 0.5, (20, 20, 60)) == [17, 15, 3]


def test_three_views_lie_side_by_side_with_their_masks():
    truth = volume(LARGE)
    pixels = np.random.default_rng(0).random((*SHAPE, 1), np.float32) * 255
    source = ArraySource(pixels)
    picture, true, predicted = small_masks(source, labels(truth), as_map(truth), 0.5, 30 + 30 + 20 + 2 * GAP_PX)
    assert picture.shape == (20, 80 + 2 * GAP_PX, 3)
    np.testing.assert_array_equal(true, predicted)
    places = widest_places(labels(truth), as_map(truth), 0.5, SHAPE)
    axial, coronal, sagittal = (truth.take(place, axis) for axis, place in enumerate(places))
    np.testing.assert_array_equal(true[:, :30], axial)
    np.testing.assert_array_equal(true[5:15, 30 + GAP_PX : 60 + GAP_PX], coronal[::-1])
    np.testing.assert_array_equal(true[5:15, -20:], sagittal[::-1])
    np.testing.assert_array_equal(picture[:, :30, 0], np.rint(pixels[places[0], ..., 0]))
    assert not picture[:, 30 : 30 + GAP_PX].any()


def test_views_of_an_unlabelled_volume_have_no_truth():
    source = ArraySource(np.zeros((*SHAPE, 1), np.float32))
    assert orthogonal_masks(source, None, as_map(volume()), 0.5, 200)[1] is None


@pytest.mark.parametrize("longest_px", [100, 333, 1600])
@pytest.mark.parametrize("spacing", [None, (5000.0, 700.0, 700.0), (300.0, 2000.0, 1000.0)])
def test_views_are_no_larger_than_asked_for(longest_px, spacing):
    source = ArraySource(np.zeros((*SHAPE, 1), np.float32), spacing)
    picture, _, predicted = orthogonal_masks(source, None, as_map(volume()), 0.5, longest_px)
    assert max(picture.shape) <= longest_px + 3  # each view is rounded
    assert predicted.shape == picture.shape[:2]
