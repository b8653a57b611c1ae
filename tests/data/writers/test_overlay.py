import numpy as np
import pytest
from PIL import Image

from data.sources.labels import IGNORE
from data.sources.source import ArraySource
from data.stitching.probability_map import Frame, ProbabilityMap, frame_of
from data.writers.overlay import small_masks, write_overlay

GREY = 120


def scene(channels=3, shape=(200, 300), value=255):
    """A grey image and a map, at half its size, of a square in its upper left part."""
    source = ArraySource(np.full((*shape, channels), GREY, np.uint8))
    values = np.zeros((1, shape[0] // 2, shape[1] // 2), np.uint8)
    values[0, 10:40, 20:60] = value
    return source, ProbabilityMap(values, frame_of(source, ["a"]))


def truth(shape=(200, 300)):
    mask = np.zeros((*shape, 1), np.uint8)
    mask[100:160, 200:280] = 1
    return ArraySource(mask)


def draw(path, source, labels, probabilities, longest_px):
    write_overlay(path, *small_masks(source, labels, probabilities, 0.5, longest_px))


def load(path):
    with Image.open(path) as image:
        return np.asarray(image)


def changed(path):
    """Where a picture is not grey any more, as the box (first row, last row, first column, last column)."""
    pixels = load(path).astype(int)
    rows, columns = np.nonzero(np.abs(pixels - GREY).max(-1) > 60)
    return (rows.min(), rows.max(), columns.min(), columns.max()) if len(rows) else None


def test_the_outline_lies_at_the_border_of_the_predicted_mask(tmp_path):
    source, probabilities = scene()
    draw(tmp_path / "a.jpg", source, None, probabilities, 1000)
    assert load(tmp_path / "a.jpg").shape == (200, 300, 3)
    np.testing.assert_allclose(changed(tmp_path / "a.jpg"), (20, 79, 40, 119), atol=5)


def test_below_the_threshold_nothing_is_drawn(tmp_path):
    source, probabilities = scene(value=127)
    draw(tmp_path / "a.jpg", source, None, probabilities, 1000)
    assert changed(tmp_path / "a.jpg") is None


def test_truth_is_drawn_where_it_is_known(tmp_path):
    source, probabilities = scene(value=0)
    draw(tmp_path / "a.jpg", source, truth(), probabilities, 1000)
    np.testing.assert_allclose(changed(tmp_path / "a.jpg"), (100, 159, 200, 279), atol=5)


@pytest.mark.parametrize("longest", [150, 60, 7])
def test_the_picture_is_no_longer_than_asked(tmp_path, longest):
    source, probabilities = scene()
    draw(tmp_path / "a.jpg", source, truth(), probabilities, longest)
    assert max(load(tmp_path / "a.jpg").shape[:2]) == longest


def test_a_grey_image_is_drawn_in_colour(tmp_path):
    source, probabilities = scene(channels=1)
    draw(tmp_path / "a.jpg", source, None, probabilities, 1000)
    assert load(tmp_path / "a.jpg").shape == (200, 300, 3)


def test_several_classes_have_a_key_below(tmp_path):
    source, probabilities = scene()
    write_overlay(tmp_path / "a.jpg", *small_masks(source, None, probabilities, 0.5, 1000), ["gland", "vessel"])
    assert load(tmp_path / "a.jpg").shape[0] > 200
    line = load(tmp_path / "a.jpg")[20, 60:100].astype(int)
    assert (line[:, 1] - line[:, 0]).min() > 40  # the first class is green; orange has more red than green


def test_masks_have_the_size_of_the_picture_and_the_place_of_their_objects():
    source, probabilities = scene()
    picture, true, predicted = small_masks(source, truth(), probabilities, 0.5, 150)
    assert picture.shape == (100, 150, 3)
    wanted = np.zeros((100, 150))
    wanted[10:40, 20:60] = 1
    np.testing.assert_array_equal(predicted, wanted)
    wanted[:] = 0
    wanted[50:80, 100:140] = 1
    np.testing.assert_array_equal(true, wanted)


def test_a_picture_of_a_crop_shows_the_crop_alone():
    source = ArraySource(np.full((40, 60, 3), GREY, np.uint8))
    probabilities = ProbabilityMap(np.full((1, 40, 60), 255, np.uint8), Frame((5, 5), (40, 60), (100, 100), ("a",)))
    _, _, predicted = small_masks(source, None, probabilities, 0.5, 1000)
    assert predicted.shape == (40, 60)
    assert (predicted == 1).all()


def test_ignored_pixels_stay_ignored():
    source, probabilities = scene()
    labels = ArraySource(np.full((200, 300, 1), IGNORE, np.uint8))
    assert (small_masks(source, labels, probabilities, 0.5, 100)[1] == IGNORE).all()
