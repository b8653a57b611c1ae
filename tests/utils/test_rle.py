import itertools

import numpy as np
import pytest

from tests.run_lengths import slow_text
from utils.rle import RleError, decode_rle, encode_rle, encode_strips, find_runs, parse_rle, stream_runs


def random_mask(shape, share, seed):
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def test_encoding_runs_down_the_columns_from_one():
    mask = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert encode_rle(mask) == "2 1 4 2 9 1"


def test_decoding_a_hand_written_text_gives_its_mask():
    assert decode_rle("2 1 4 2 9 1", (3, 3)).tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_a_run_may_go_on_in_the_next_column():
    assert decode_rle("3 2", (3, 2)).tolist() == [[0, 1], [0, 0], [1, 0]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (13, 17), (64, 3)])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_decoding_inverts_encoding_and_a_slow_encoder_agrees(shape, share):
    mask = random_mask(shape, share, seed=shape[0])
    text = encode_rle(mask)
    assert text == slow_text(mask)
    decoded = decode_rle(text, shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, mask)


def test_first_and_last_pixel_survive():
    mask = np.zeros((5, 4), np.uint8)
    mask[0, 0] = mask[-1, -1] = 1
    assert encode_rle(mask) == "1 1 20 1"
    np.testing.assert_array_equal(decode_rle("1 1 20 1", (5, 4)), mask)


def test_any_value_but_zero_is_foreground():
    assert encode_rle(np.array([[0, 255], [7, 0]])) == "2 2"
    assert encode_rle(np.array([[True], [False]])) == "1 1"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("widths", [[1] * 20, [3, 7, 10], [20], [19, 1]])
@pytest.mark.parametrize("heights", [[1] * 11, [4, 4, 3], [11]])
def test_tiles_give_the_text_of_the_whole(share, widths, heights):
    mask = random_mask((11, 20), share, seed=3) > 0
    strips = np.split(mask, np.cumsum(widths)[:-1], axis=1)
    tiles = [np.split(strip, np.cumsum(heights)[:-1]) for strip in strips]
    assert "".join(encode_strips(tiles, 11)) == slow_text(mask)


@pytest.mark.parametrize("values", list(itertools.product([False, True], repeat=4)))
def test_tiles_broadcast_from_one_cell_are_as_good_as_full_ones(values):
    """Two by two tiles, of which every second one is broadcast."""
    full = [np.full((3, 2), value) for value in values]
    some = [np.broadcast_to(tile[0, 0], tile.shape) if n % 3 else tile for n, tile in enumerate(full)]
    mask = np.block([[full[0], full[2]], [full[1], full[3]]])
    assert "".join(encode_strips([some[:2], some[2:]], 6)) == slow_text(mask)


def test_a_run_over_many_strips_comes_out_once():
    runs = [(a.tolist(), b.tolist()) for a, b in stream_runs([[np.ones((4, 2), bool)]] * 5, 4)]
    assert runs == [([0], [40])]


def test_no_strip_gives_an_empty_text():
    assert "".join(encode_strips([], 7)) == ""


def test_runs_of_a_flat_array_are_starts_and_lengths():
    starts, lengths = find_runs(np.array([1, 1, 0, 3, 0, 0, 2, 2, 2]))
    assert (starts.tolist(), lengths.tolist()) == ([0, 3, 6], [2, 1, 3])


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_text_is_an_empty_mask(text):
    assert not decode_rle(text, (3, 4)).any()


def test_touching_runs_are_no_overlap():
    assert decode_rle("1 2 3 2", (4, 1)).ravel().tolist() == [1, 1, 1, 1]


def test_unsorted_pairs_are_accepted_and_sorted():
    starts, lengths = parse_rle("8 2 1 3", 12)
    assert (starts.tolist(), lengths.tolist()) == ([0, 7], [3, 2])


def test_a_run_may_end_at_the_very_last_pixel():
    assert decode_rle("11 2", (3, 4))[1:, 3].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1 2 3", "3 numbers"),
        ("5", "1 numbers"),
        ("one 2", "'one'"),
        ("1 2x", "'2x'"),
        ("1, 2", "'1,'"),
        ("1.5 2", "'1.5'"),
        ("1 2e1", "'2e1'"),
        ("nan 2", "'nan'"),
        ("--5 2", "'--5'"),
        ("1 -", "'-'"),
        ("1_0 2", "'1_0'"),
        ("+1 2", r"'\+1'"),
        ("\u0663 2", "'\u0663'"),
        ("1 99999999999999999999", "'99999999999999999999'"),
        ("0 3", "starts at 0;"),
        ("5 1 -4 3", "starts at -4;"),
        ("1 2 4 0", "length 0;"),
        ("1 -2", "length -2;"),
        ("12 2", "run at 12 ends past the last of the 12"),
        ("13 1", "run at 13 ends past"),
        ("1 999999999999999999", "run at 1 ends past"),
        ("1 5 3 2", "run at 3 overlaps"),
        ("3 2 1 5", "run at 3 overlaps"),
        ("2 1 2 1", "run at 2 overlaps"),
    ],
)
def test_a_bad_text_is_refused_and_its_value_named(text, named):
    with pytest.raises(RleError, match=named):
        decode_rle(text, (3, 4))
