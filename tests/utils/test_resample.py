from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from utils.resample import average_blocks, axis_weights, needed_range, resample, resample_region, whole_factors

PAIRS = [(1, 1), (1, 7), (7, 1), (3, 7), (5, 13), (16, 64), (97, 301), (7, 3), (13, 5), (64, 16), (301, 97), (10, 9)]


def exact_area_weights(n_to, n_from):
    """Overlap of each target cell with each source cell by fractions, one by one."""
    step = Fraction(n_from, n_to)
    rows = []
    for i in range(n_to):
        low, high = i * step, (i + 1) * step
        rows.append([float(max(Fraction(0), min(high, j + 1) - max(low, j)) / step) for j in range(n_from)])
    return np.array(rows)


def exact_linear_weights(n_to, n_from):
    rows = np.zeros((n_to, n_from))
    for i in range(n_to):
        centre = min(max((i + Fraction(1, 2)) * Fraction(n_from, n_to) - Fraction(1, 2), 0), n_from - 1)
        low = int(centre)
        rows[i, low] += float(1 - (centre - low))
        rows[i, min(low + 1, n_from - 1)] += float(centre - low)
    return rows


def reader(image):
    return lambda start, stop: image[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]


@pytest.mark.parametrize(("n_to", "n_from"), PAIRS)
def test_weights_of_every_target_cell_sum_to_one(n_to, n_from):
    weights = axis_weights(0, n_to, n_to, n_from)
    np.testing.assert_allclose(np.asarray(weights.sum(axis=1)).ravel(), 1, rtol=1e-6)
    assert weights.toarray().min() >= 0


@pytest.mark.parametrize(("n_to", "n_from"), PAIRS)
def test_weights_agree_with_exact_fractions(n_to, n_from):
    exact = exact_area_weights(n_to, n_from) if n_from >= n_to else exact_linear_weights(n_to, n_from)
    np.testing.assert_allclose(axis_weights(0, n_to, n_to, n_from).toarray(), exact, atol=1e-6)


@pytest.mark.parametrize(("n_to", "n_from"), PAIRS)
def test_part_of_the_axis_has_the_same_weights_as_the_whole(n_to, n_from):
    every = axis_weights(0, n_to, n_to, n_from).toarray()
    for start in range(0, n_to, 3):
        stop = min(start + 4, n_to)
        low, high = needed_range(start, stop, n_to, n_from)
        assert 0 <= low < high <= n_from
        np.testing.assert_array_equal(axis_weights(start, stop, n_to, n_from).toarray(), every[start:stop, low:high])
        assert every[start:stop].sum() == pytest.approx(every[start:stop, low:high].sum())


def test_area_average_by_hand():
    # 5 cells to 2: each target covers 2.5 source cells
    weights = axis_weights(0, 2, 2, 5).toarray()
    np.testing.assert_allclose(weights, [[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]], atol=1e-7)


def test_linear_interpolation_by_hand():
    # 2 cells to 4: centres at -0.25 (clamped), 0.25, 0.75, 1.25 (clamped)
    values = resample(np.array([0.0, 8.0]), [axis_weights(0, 4, 4, 2)])
    np.testing.assert_allclose(values, [0, 2, 6, 8])


def test_areas_average_on_odd_ratios_as_a_slow_reference_does():
    image = np.random.default_rng(0).integers(0, 256, (31, 47, 3)).astype(np.float32)
    small = resample_region(reader(image), (31, 47), (9, 20), (0, 0), (9, 20))
    exact = np.einsum("ra,cb,abk->rck", exact_area_weights(9, 31), exact_area_weights(20, 47), image.astype(float))
    np.testing.assert_allclose(small, exact, atol=1e-3)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_interpolation_up_agrees_with_scipy(factor):
    image = np.random.default_rng(1).random((7, 11)).astype(np.float32)
    shape = (7 * factor, 11 * factor)
    large = resample_region(reader(image), image.shape, shape, (0, 0), shape)
    other = ndimage.zoom(image, factor, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(large, other, atol=1e-5)


@pytest.mark.parametrize("shape_to", [(9, 20), (31, 5), (62, 101), (40, 20), (31, 47), (8, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_regions_read_apart_equal_the_whole_bit_for_bit(shape_to, channels):
    image = np.random.default_rng(2).integers(0, 256, (32, 48, channels)).astype(np.uint8)
    whole = resample_region(reader(image), (32, 48), shape_to, (0, 0), shape_to)
    for rows in pairwise([*range(0, shape_to[0], 4), shape_to[0]]):
        for columns in pairwise([*range(0, shape_to[1], 7), shape_to[1]]):
            start, stop = (rows[0], columns[0]), (rows[1], columns[1])
            part = resample_region(reader(image), (32, 48), shape_to, start, stop)
            np.testing.assert_array_equal(part, whole[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("shape_to", [(4, 5, 6), (20, 5, 13), (9, 11, 13)])
def test_boxes_of_a_volume_read_apart_equal_the_whole_bit_for_bit(shape_to):
    volume = np.random.default_rng(3).random((9, 11, 13, 2)).astype(np.float32)
    whole = resample_region(reader(volume), (9, 11, 13), shape_to, (0, 0, 0), shape_to)
    assert whole.shape == (*shape_to, 2)
    middle = tuple(n // 2 for n in shape_to)
    ahead = resample_region(reader(volume), (9, 11, 13), shape_to, (0, 0, 0), middle)
    behind = resample_region(reader(volume), (9, 11, 13), shape_to, middle, shape_to)
    np.testing.assert_array_equal(ahead, whole[tuple(slice(0, m) for m in middle)])
    np.testing.assert_array_equal(behind, whole[tuple(slice(m, None) for m in middle)])


def test_equal_shapes_are_the_identity_and_keep_the_dtype():
    image = np.random.default_rng(4).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    part = resample_region(reader(image), (5, 7), (5, 7), (1, 2), (4, 6))
    assert part.dtype == np.uint8
    np.testing.assert_array_equal(part, image[1:4, 2:6])


def test_an_axis_of_equal_length_is_left_alone():
    image = np.random.default_rng(5).random((6, 4)).astype(np.float32)
    small = resample_region(reader(image), (6, 4), (3, 4), (0, 0), (3, 4))
    np.testing.assert_allclose(small, image.reshape(3, 2, 4).mean(1), atol=1e-6)


def test_a_constant_stays_constant_at_any_shape():
    image = np.full((13, 17, 1), 200, np.uint8)
    for shape in [(1, 1), (4, 5), (13, 5), (29, 50)]:
        values = resample_region(reader(image), (13, 17), shape, (0, 0), shape)
        np.testing.assert_allclose(values, 200, rtol=1e-5)


def test_the_mean_survives_any_reduction():
    image = np.random.default_rng(6).random((31, 47)).astype(np.float32)
    small = resample_region(reader(image), (31, 47), (8, 13), (0, 0), (8, 13))
    assert small.mean() == pytest.approx(image.mean(), abs=1e-5)


@pytest.mark.parametrize("factors", [(2, 2), (4, 4), (1, 3), (5, 1), (3, 7), (20, 20), (1, 1), (2, 3, 4), (1, 6, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_of_blocks_is_exact_and_a_half_goes_to_the_even_value(factors, channels):
    shape = tuple(4 * factor for factor in factors)
    image = np.random.default_rng(7).integers(0, 256, (*shape, channels)).astype(np.uint8)
    parts = image.reshape(*(n for factor in factors for n in (4, factor)), channels)
    sums = parts.sum(tuple(range(1, 2 * len(factors), 2)), dtype=np.int64)
    cells = int(np.prod(factors))
    exact = [round(Fraction(int(total), cells)) for total in sums.ravel()]
    assert average_blocks(image, factors).ravel().tolist() == exact


def test_the_mean_of_white_blocks_of_any_size_is_white():
    for factors in [(1, 1), (16, 16), (17, 16), (300, 300), (4200, 4096)]:
        assert average_blocks(np.full((*factors, 1), 255, np.uint8), factors).tolist() == [[[255]]]


@pytest.mark.parametrize(
    ("shape_from", "shape_to", "factors"),
    [((64, 32), (16, 16), (4, 2)), ((65, 32), (16, 16), None), ((16, 16), (32, 16), None), ((5, 7), (5, 7), (1, 1))],
)
def test_factors_are_whole_numbers_or_none(shape_from, shape_to, factors):
    assert whole_factors(shape_from, shape_to) == factors
