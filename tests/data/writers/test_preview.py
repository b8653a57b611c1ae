import numpy as np
from PIL import Image

from data.stitching.probability_map import Frame
from data.writers.preview import write_preview
from tests.maps import memory_map
from utils.colours import class_colour


def test_a_preview_shows_the_classes_of_the_whole_image_at_their_place(tmp_path):
    values = np.zeros((2, 20, 30), np.uint8)
    values[0, :10], values[1, 10:] = 255, 255
    probabilities = memory_map(values, ["a", "b"])
    probabilities.frame = Frame((20, 0), (80, 120), (120, 120), ("a", "b"))
    write_preview(tmp_path / "a.png", probabilities, 0.5, 60)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (60, 60)
        values, colours = np.asarray(image), np.asarray(image.convert("RGB"))
    assert [values[row, 5] for row in (3, 15, 40, 55)] == [0, 1, 2, 0]
    assert [tuple(colours[row, 5]) for row in (15, 40)] == [class_colour(1), class_colour(2)]


def test_a_small_image_is_not_enlarged(tmp_path):
    write_preview(tmp_path / "a.png", memory_map(np.full((1, 7, 9), 255, np.uint8), ["a"]), 0.5, 1000)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (9, 7)
        assert (np.asarray(image) == 1).all()
