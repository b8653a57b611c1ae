import numpy as np
import pytest

from data.sources.intensity import IntensityRule, build_intensity, percentiles, to_pixels, value_range
from tests.slides import make_cfg

VALUES = np.array([-5, -1.5, -0.0, 0.0, 1e-20, 2, 2, 2, 7, 1e6], np.float32)


def parts(values, count=3):
    return lambda: iter(np.array_split(values, count))


def test_a_window_maps_its_ends_to_black_and_white_and_clips():
    pixels = to_pixels(np.array([-2000, -1000, -300, 400, 3000], np.float32), (-1000, 400))
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, [0, 0, 127.5, 255, 255])


def test_pixels_are_not_rounded():
    assert to_pixels(np.float32([1]), (0, 1000))[0] == pytest.approx(0.255)


def test_a_volume_of_one_value_is_black():
    assert to_pixels(np.float32([3, 3]), (3, 3)).tolist() == [0, 0]


def test_the_range_is_that_of_all_parts():
    assert value_range(parts(VALUES)) == (-5, 1e6)


@pytest.mark.parametrize("numbers", [(0, 100), (0.5, 99.5), (10, 50), (33.3, 66.6), (20, 20.0001)])
@pytest.mark.parametrize("values", [VALUES, np.random.default_rng(0).normal(-3, 40, 1001).astype(np.float32)])
def test_percentiles_are_those_of_numpy_on_all_values(values, numbers):
    expected = np.percentile(values.astype(np.float64), numbers)
    np.testing.assert_allclose(percentiles(parts(values), numbers), expected, rtol=1e-7, atol=1e-12)


def test_percentiles_of_one_value_are_it():
    assert percentiles(parts(np.float32([4]), 1), (0.5, 99.5)) == (4, 4)


def test_the_config_gives_the_rule_with_its_numbers():
    assert build_intensity(make_cfg()) == IntensityRule()
    window = make_cfg(INPUT_INTENSITY="window", INPUT_WINDOW=[-160, 240])
    assert build_intensity(window) == IntensityRule("window", (-160.0, 240.0))
    assert build_intensity(make_cfg(INPUT_INTENSITY="percentiles")) == IntensityRule("percentiles", (0.5, 99.5))
    assert build_intensity(make_cfg(INPUT_INTENSITY="range")) == IntensityRule("range")
