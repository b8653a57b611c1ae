import numpy as np
import pytest

from data.patches.sampling import Content
from data.patches.slice_order import order_slices, slice_chances


def test_a_slice_has_its_area_and_a_tenth_of_the_mean_as_its_chance():
    areas = np.array([0.0, 30.0, 10.0, 0.0])
    expected = (areas + 0.1 * 40 / 4) / (1.1 * 40)
    np.testing.assert_allclose(slice_chances(areas), expected)
    assert slice_chances(areas).sum() == pytest.approx(1)
    np.testing.assert_allclose(slice_chances(areas)[0], 1 / 44)


def test_slices_of_a_case_without_tumour_are_alike():
    np.testing.assert_array_equal(slice_chances(np.zeros(4)), [0.25] * 4)


def test_cases_are_alike_however_many_slices_and_however_much_tumour_they_have():
    ids = ["a"] * 2 + ["b"] * 6 + ["c"] * 3
    areas = [1000, 3000, 0, 0, 5, 5, 0, 0, 0, 0, 0]
    order = order_slices(ids, [Content(area) for area in areas], 60_000)
    places = np.array(order.order(np.random.default_rng(0))) % len(ids)
    shares = np.bincount(places, minlength=len(ids)) / len(places)
    np.testing.assert_allclose(shares, order.favoured, atol=0.006)
    np.testing.assert_allclose([shares[:2].sum(), shares[2:8].sum(), shares[8:].sum()], [1 / 3] * 3, atol=0.006)
    np.testing.assert_allclose(shares[:2] * 3, [(1000 + 200) / 4400, (3000 + 200) / 4400], atol=0.02)


def test_each_repetition_of_a_slice_is_a_draw_of_its_own():
    order = order_slices(["a", "a"], [Content(1), Content(1)], 9).order(np.random.default_rng(1))
    assert len(set(order)) == 9
    assert order == order_slices(["a", "a"], [Content(1), Content(1)], 9).order(np.random.default_rng(1))
