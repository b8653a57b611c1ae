import csv
import io

import numpy as np
import pandas as pd
import pytest

import data.writers.rle_csv as rle_csv
from data.stitching.mask import MaskView
from data.stitching.probability_map import Frame, ProbabilityMap, memory_map
from data.writers.rle_csv import join_rle, write_case_rle


def decode(text, shape):
    """An independent decoder: pairs of 1-based start and length, down the columns."""
    flat = np.zeros(shape[0] * shape[1], np.uint8)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        assert not flat[start - 1 : start - 1 + length].any()
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape(shape, order="F")


def mask_of(*channels):
    return MaskView(
        memory_map(np.stack(channels) * np.uint8(255), ["a", "b"][: len(channels)]).on_image(channels[0].shape), 0.5
    )


def random_mask(shape=(13, 17), seed=0):
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("strip_px", [1, 13, 40, 2**23])
def test_the_run_lengths_decode_to_the_mask(tmp_path, monkeypatch, strip_px):
    monkeypatch.setattr(rle_csv, "STRIP_PX", strip_px)
    write_case_rle(tmp_path / "a.csv", "a", mask_of(random_mask()), ["a"])
    (row,) = csv.reader(io.StringIO((tmp_path / "a.csv").read_text()))
    assert row[0] == "a"
    np.testing.assert_array_equal(decode(row[1], (13, 17)), random_mask())


def test_values_by_hand(tmp_path):
    mask = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1]], np.uint8)
    write_case_rle(tmp_path / "a.csv", "a", mask_of(mask), ["a"])
    assert (tmp_path / "a.csv").read_text() == "a,1 2 6 2 9 1\n"


def test_an_empty_mask_has_an_empty_cell_and_a_full_one_a_single_run(tmp_path):
    write_case_rle(tmp_path / "a.csv", "a", mask_of(np.zeros((4, 5), np.uint8)), ["a"])
    write_case_rle(tmp_path / "b.csv", "b", mask_of(np.ones((4, 5), np.uint8)), ["a"])
    join_rle(tmp_path / "output.csv", [tmp_path / "a.csv", tmp_path / "b.csv"], ["a"])
    assert (tmp_path / "output.csv").read_text() == "id,predicted\na,\nb,1 20\n"


@pytest.mark.parametrize(
    "case_id", ["with,comma", 'with "quotes"', "line\nbreak", "001", "1e5", "NA", "\u00e4\u2207", " x "]
)
def test_odd_ids_come_back_as_they_are(tmp_path, case_id):
    write_case_rle(tmp_path / "a.csv", case_id, mask_of(random_mask()), ["a"])
    join_rle(tmp_path / "output.csv", [tmp_path / "a.csv"], ["a"])
    table = pd.read_csv(tmp_path / "output.csv", dtype=str, keep_default_na=False)
    assert table["id"].tolist() == [case_id]
    np.testing.assert_array_equal(decode(table["predicted"][0], (13, 17)), random_mask())


def test_several_classes_have_a_line_each(tmp_path):
    first = random_mask()
    second = (1 - first) * random_mask(seed=1)
    write_case_rle(tmp_path / "a.csv", "x", mask_of(first, second), ["a", "b, c"])
    join_rle(tmp_path / "output.csv", [tmp_path / "a.csv"], ["a", "b, c"])
    table = pd.read_csv(tmp_path / "output.csv", dtype=str, keep_default_na=False)
    assert table[["id", "class"]].to_numpy().tolist() == [["x", "a"], ["x", "b, c"]]
    for text, wanted in zip(table["predicted"], (first, second), strict=True):
        np.testing.assert_array_equal(decode(text, (13, 17)), wanted)


def test_a_crop_is_encoded_on_the_pixels_of_the_whole_image(tmp_path):
    frame = Frame((2, 3), (4, 5), (10, 11), ("a",))
    probabilities = ProbabilityMap(np.full((1, 4, 5), 255, np.uint8), frame)
    write_case_rle(tmp_path / "a.csv", "a", MaskView(probabilities.on_image((10, 11)), 0.5), ["a"])
    wanted = np.zeros((10, 11), np.uint8)
    wanted[2:6, 3:8] = 1
    np.testing.assert_array_equal(decode((tmp_path / "a.csv").read_text().split(",")[1], (10, 11)), wanted)


def test_without_a_case_the_table_is_its_header(tmp_path):
    join_rle(tmp_path / "output.csv", [], ["a"])
    assert (tmp_path / "output.csv").read_text() == "id,predicted\n"
