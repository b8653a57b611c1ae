import numpy as np
import pytest

from utils.colour_key import add_colour_key
from utils.colours import class_colour


@pytest.mark.parametrize(
    ("width", "names"), [(400, ["gland", "vessel"]), (60, ["a long name of a class"] * 9), (5, ["a"])]
)
def test_the_key_lies_below_the_picture_and_shows_every_colour(width, names):
    picture = np.full((90, width, 3), 77, np.uint8)
    drawn = add_colour_key(picture, names)
    np.testing.assert_array_equal(drawn[:90], picture)
    assert drawn.shape[1] == width
    if width > 20:
        shown = {tuple(colour) for colour in drawn[90:].reshape(-1, 3)}
        assert {class_colour(number) for number in range(1, len(names) + 1)} <= shown
