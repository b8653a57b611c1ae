import numpy as np
from PIL import Image

from data.sources.labels import IGNORE
from data.writers.errors import error_kinds, write_errors
from utils.colours import class_colour


def test_each_pixel_is_found_or_of_one_kind_of_error():
    truth = np.array([[0, 0, 1, 1, 1, IGNORE, IGNORE]], np.uint8)
    predicted = np.array([[0, 1, 1, 0, 2, 0, 1]], np.uint8)
    assert error_kinds(truth, predicted).tolist() == [[0, 2, 1, 3, 4, IGNORE, IGNORE]]


def test_the_picture_is_grey_where_all_is_right_background_and_has_a_key(tmp_path):
    picture = np.full((200, 300, 3), (250, 200, 150), np.uint8)
    truth, predicted = np.zeros((2, 200, 300), np.uint8)
    truth[20:80, 20:80] = predicted[20:80, 60:140] = 1
    write_errors(tmp_path / "errors.jpg", picture, truth, predicted, several=False)
    with Image.open(tmp_path / "errors.jpg") as image:
        found = np.asarray(image).astype(int)
    assert found.shape[0] > 200
    assert found.shape[1] == 300
    assert np.ptp(found[150:190], axis=-1).max() <= 6
    for place, number in (((50, 70), 1), ((50, 110), 2), ((50, 40), 3)):
        np.testing.assert_allclose(found[place], 100 + 0.5 * np.array(class_colour(number)), atol=8)
