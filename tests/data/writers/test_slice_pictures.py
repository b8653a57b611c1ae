import numpy as np
from PIL import Image

from data.sources.source import ArraySource
from data.writers.products import CaseMask, Products
from data.writers.results import Results
from data.writers.slice_pictures import PREDICTION, TRUTH, outline, rim, write_slices
from tests.maps import memory_map


def square(shape, start, stop):
    mask = np.zeros(shape, np.uint8)
    mask[start:stop, start:stop] = 1
    return mask


def places(picture, colour):
    return np.argwhere((picture == colour).all(-1)).tolist()


def test_the_rim_is_the_outermost_pixels_inside_also_at_the_border_of_the_picture():
    assert rim(square((5, 5), 1, 4)).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    assert rim(np.ones((3, 3), np.uint8)).sum() == 8
    assert not rim(np.zeros((3, 3), np.uint8)).any()


def test_prediction_is_red_truth_green_and_both_together_yellow():
    picture = np.full((8, 8, 3), 100, np.uint8)
    drawn = outline(picture, square((8, 8), 1, 5), square((8, 8), 3, 7))
    assert [1, 1] in places(drawn, PREDICTION)
    assert [6, 6] in places(drawn, TRUTH)
    assert places(drawn, np.maximum(PREDICTION, TRUTH)) == [[3, 4], [4, 3]]
    assert drawn[0, 0].tolist() == [100] * 3
    assert (picture == 100).all()


def test_unknown_labels_and_ignored_pixels_have_no_line():
    picture, predicted = np.zeros((6, 6, 3), np.uint8), square((6, 6), 1, 3)
    assert places(outline(picture, predicted, None), TRUTH) == []
    assert places(outline(picture, predicted, np.full((6, 6), 255, np.uint8)), TRUTH) == []


def volume():
    image = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
    predicted, truth = np.zeros((2, 3, 16, 16), np.uint8)
    predicted[1, 2:7, 2:7] = 255
    truth[1, 4:9, 4:9] = 1
    return ArraySource(image), ArraySource(truth[..., None]), memory_map(predicted[None], ["tumour"])


def test_each_slice_is_a_picture_of_at_least_512_pixels_named_by_its_number(tmp_path):
    source, labels, found = volume()
    write_slices(tmp_path, "p1", source, labels, found, 0.5)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["p1-00.png", "p1-01.png", "p1-02.png"]
    drawn = [np.asarray(Image.open(path)) for path in sorted(tmp_path.iterdir())]
    assert {each.shape for each in drawn} == {(512, 512, 3)}
    assert places(drawn[1], PREDICTION)[0] == [64, 64]
    assert places(drawn[1], TRUTH)[-1] == [9 * 32 - 1, 9 * 32 - 1]
    assert places(drawn[0], PREDICTION) == []


def test_pictures_of_slices_are_a_product_of_volumes_that_is_made_anew(tmp_path):
    source, _, found = volume()
    results = Results(tmp_path)
    write_slices(results.slices, "p1", source, None, found, 0.5)
    (results.slices / "p1-07.png").touch()
    (results.slices / "p1-1-00.png").touch()  # of another case
    Products(["slices"]).write(results, CaseMask("p1", found, 0.5, lambda: source))
    names = {path.name for path in results.slices.iterdir()}
    assert names == {"p1-00.png", "p1-01.png", "p1-02.png", "p1-1-00.png"}
    Products(["gif"]).write(results, CaseMask("p1", found, 0.5))
    assert {path.name for path in results.slices.iterdir()} == {"p1-1-00.png"}
