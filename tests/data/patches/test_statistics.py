import numpy as np

from data.patches.statistics import PixelStatistics
from tests.slides import noise


def of(*images):
    statistics = PixelStatistics()
    for image in images:
        statistics.add_pixels(image)
    return statistics


def test_mean_and_std_by_hand():
    statistics = of(np.array([[[0, 51]], [[255, 51]]], np.uint8))
    assert statistics.mean == [0.5, 0.2]
    assert statistics.std == [0.5, round(1 / 255, 6)]  # a constant channel still may divide


def test_mean_and_std_equal_those_of_all_pixels_together():
    images = [noise(30, 40, 3), noise(7, 9, 3, seed=1) // 4, noise(1, 1, 3, seed=2)]
    flat = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
    np.testing.assert_allclose(of(*images).mean, flat.mean(0), atol=2e-6)
    np.testing.assert_allclose(of(*images).std, flat.std(0), atol=2e-6)


def test_sets_add_up():
    first, second = noise(30, 40, 3), noise(7, 9, 3, seed=1) // 4
    total = of(first)
    total.add(of(second))
    total.add(PixelStatistics())
    assert (total.mean, total.std, total.count) == (of(first, second).mean, of(first, second).std, 1263)


def test_without_pixels_there_is_nothing_to_say():
    assert (PixelStatistics().mean, PixelStatistics().std, PixelStatistics().count) == ([], [], 0)


def test_a_volume_counts_all_its_voxels():
    volume = noise(3, 4, 5, 1)
    np.testing.assert_allclose(of(volume).mean, [volume.mean() / 255], atol=1e-6)


def test_the_order_of_the_images_changes_nothing():
    images = [noise(30, 40, 3, seed=seed) for seed in range(8)]
    assert (of(*images).mean, of(*images).std) == (of(*images[::-1]).mean, of(*images[::-1]).std)


def test_a_long_white_image_does_not_overflow():
    assert of(np.full((70_000, 3, 1), 255, np.uint8)).mean == [1]
    assert of(np.full((70_000, 3, 1), 255, np.uint8)).std == [round(1 / 255, 6)]


def test_intensities_of_a_volume_that_are_whole_numbers_count_as_bytes_do():
    volume = noise(3, 4, 5, 2)
    floats = of(volume.astype(np.float32))
    assert (floats.mean, floats.std, floats.count) == (of(volume).mean, of(volume).std, 60)


def test_intensities_between_two_levels_count_to_a_sixteenth():
    assert of(np.array([[[[0.5]], [[254.5]]]], np.float32)).mean == [0.5]
    volume = np.random.default_rng(0).uniform(0, 255, (6, 50, 40, 1)).astype(np.float32)
    np.testing.assert_allclose(of(volume).mean, [volume.mean() / 255], atol=2e-5)
    np.testing.assert_allclose(of(volume).std, [volume.std() / 255], atol=2e-5)
