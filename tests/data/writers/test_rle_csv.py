import csv
import io

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

import data.writers.mask_tiff as mask_tiff
from data.stitching.probability_map import Frame
from data.writers.mask_tiff import write_mask_tiff
from data.writers.rle_csv import join_rle, write_case_rle
from tests.maps import memory_map
from utils.rle import encode_rle


def decode(text, shape):
    """An independent decoder: pairs of 1-based start and length, down the columns."""
    flat = np.zeros(shape[0] * shape[1], np.uint8)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        assert not flat[start - 1 : start - 1 + length].any()
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape(shape, order="F")


def write(path, case_id, *channels, frame=None):
    """Write the run lengths of a map of certain masks by way of its TIFF; the classes are 'a' and 'b, c'."""
    probabilities = memory_map(np.stack(channels) * np.uint8(255), ["a", "b, c"][: len(channels)])
    probabilities.frame = frame or probabilities.frame
    write_mask_tiff(path.with_suffix(".tiff"), probabilities, 0.5)
    write_case_rle(path, case_id, path.with_suffix(".tiff"), probabilities.frame)


def random_mask(shape=(13, 17), seed=0):
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def test_the_run_lengths_decode_to_the_mask(tmp_path):
    write(tmp_path / "a.csv", "a", random_mask())
    (row,) = csv.reader(io.StringIO((tmp_path / "a.csv").read_text()))
    assert row[0] == "a"
    np.testing.assert_array_equal(decode(row[1], (13, 17)), random_mask())


def test_values_by_hand(tmp_path):
    mask = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1]], np.uint8)
    write(tmp_path / "a.csv", "a", mask)
    assert (tmp_path / "a.csv").read_text() == "a,1 2 6 2 9 1\n"


def test_an_empty_mask_has_an_empty_cell_and_a_full_one_a_single_run(tmp_path):
    write(tmp_path / "a.csv", "a", np.zeros((4, 5), np.uint8))
    write(tmp_path / "b.csv", "b", np.ones((4, 5), np.uint8))
    join_rle(tmp_path / "output.csv", [tmp_path / "a.csv", tmp_path / "b.csv"], ["a"])
    assert (tmp_path / "output.csv").read_text() == "id,predicted\na,\nb,1 20\n"


@pytest.mark.parametrize(
    "case_id", ["with,comma", 'with "quotes"', "line\nbreak", "001", "1e5", "NA", "\u00e4\u2207", " x "]
)
def test_odd_ids_come_back_as_they_are(tmp_path, case_id):
    write(tmp_path / "a.csv", case_id, random_mask())
    join_rle(tmp_path / "output.csv", [tmp_path / "a.csv"], ["a"])
    table = pd.read_csv(tmp_path / "output.csv", dtype=str, keep_default_na=False)
    assert table["id"].tolist() == [case_id]
    np.testing.assert_array_equal(decode(table["predicted"][0], (13, 17)), random_mask())


def test_several_classes_have_a_line_each(tmp_path):
    first = random_mask()
    second = (1 - first) * random_mask(seed=1)
    write(tmp_path / "a.csv", "x", first, second)
    join_rle(tmp_path / "output.csv", [tmp_path / "a.csv"], ["a", "b, c"])
    table = pd.read_csv(tmp_path / "output.csv", dtype=str, keep_default_na=False)
    assert table[["id", "class"]].to_numpy().tolist() == [["x", "a"], ["x", "b, c"]]
    for text, wanted in zip(table["predicted"], (first, second), strict=True):
        np.testing.assert_array_equal(decode(text, (13, 17)), wanted)


def test_a_crop_is_encoded_on_the_pixels_of_the_whole_image(tmp_path):
    frame = Frame((2, 3), (4, 5), (10, 11), ("a",))
    write(tmp_path / "a.csv", "a", np.ones((4, 5), np.uint8), frame=frame)
    wanted = np.zeros((10, 11), np.uint8)
    wanted[2:6, 3:8] = 1
    np.testing.assert_array_equal(decode((tmp_path / "a.csv").read_text().split(",")[1], (10, 11)), wanted)


def test_without_a_case_the_table_is_its_header(tmp_path):
    join_rle(tmp_path / "output.csv", [], ["a"])
    assert (tmp_path / "output.csv").read_text() == "id,predicted\n"


@pytest.mark.parametrize("shape", [(1, 1), (100, 70), (97, 33), (16, 200), (200, 15)])
@pytest.mark.parametrize("kind", ["noise", "blobs", "full", "empty"])
def test_runs_of_a_mask_in_many_tiles_are_those_of_the_whole(tmp_path, monkeypatch, shape, kind):
    monkeypatch.setattr(mask_tiff, "TILE", 16)
    random = np.random.default_rng(0)
    noise = random.random((2, *shape))
    masks = {
        "noise": noise > 0.5,
        "blobs": ndimage.gaussian_filter(noise, (0, 6, 6)) > 0.5,
        "full": np.stack([np.ones(shape, bool), np.zeros(shape, bool)]),
        "empty": np.zeros((2, *shape), bool),
    }[kind]
    first, second = masks[0], masks[1] & ~masks[0]
    write(tmp_path / "a.csv", "x", first.astype(np.uint8), second.astype(np.uint8))
    assert (tmp_path / "a.csv").read_text() == f'x,a,{encode_rle(first)}\nx,"b, c",{encode_rle(second)}\n'
