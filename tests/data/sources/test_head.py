import numpy as np
import pytest
from scipy import ndimage

from data.patches.grid import Box, whole
from data.sources.head import MEAN, STD, find_head, open_head, prepare_head
from data.sources.source import ArraySource, SourceError
from tests.brain_mri import head


def slowly(values, side):
    """The steps one after the other on the whole array, as they were published; pixels are z-scores."""
    volume = values.astype(float)
    volume[volume < volume.max() * 0.1] = 0
    spans = []
    for axis in range(3):
        filled = np.flatnonzero(volume.max(axis=tuple(each for each in range(4) if each != axis)))
        spans.append(slice(filled.min(), filled.max() + 1))
    volume = volume[tuple(spans)]
    rows, columns = volume.shape[1:3]
    half = abs(rows - columns) / 2
    pads = (int(np.floor(half)), int(np.ceil(half)))
    volume = np.pad(volume, ((0, 0), (0, 0), pads, (0, 0)) if rows > columns else ((0, 0), pads, (0, 0), (0, 0)))
    zooms = (1, side / volume.shape[1], side / volume.shape[2], 1)
    zoomed = ndimage.zoom(volume, zooms, order=2, mode="grid-constant", grid_mode=True)
    zoomed = np.clip(zoomed, volume.min(), volume.max())
    low, high = np.percentile(zoomed, (10, 99))
    scaled = (np.clip(zoomed, low, high) - low) / (high - low)
    return (scaled - scaled.mean((0, 1, 2))) / scaled.std((0, 1, 2))


def volume(rows=40, columns=33):
    """A head that touches no border, with faint noise around it."""
    values = np.random.default_rng(0).integers(0, 20, (7, rows + 9, columns + 11, 3))
    values[1:6, 4 : 4 + rows, 5 : 5 + columns] += np.random.default_rng(1).integers(30, 200, (5, rows, columns, 3))
    return values.astype(np.uint8)


@pytest.mark.parametrize(("rows", "columns"), [(40, 33), (33, 40), (32, 32)])
def test_the_steps_are_those_that_were_published(rows, columns):
    values = volume(rows, columns)
    found = prepare_head(values, find_head(values, 64))
    assert found.shape == (5, 64, 64, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slowly(values, 64), atol=2e-4)


def test_each_channel_has_mean_0_and_deviation_1():
    scores = prepare_head(volume(), find_head(volume(), 48))
    np.testing.assert_allclose(scores.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scores.std((0, 1, 2)), 1, atol=1e-5)


def test_a_channel_of_one_value_is_all_zero():
    values = volume()
    values[..., 2] = values[..., 2].max()
    frame = find_head(values, values.shape[1])
    scores = prepare_head(values, frame)
    assert np.isfinite(scores).all()


def test_the_mask_goes_where_its_image_goes_and_stays_0_and_1():
    values, mask = np.zeros((6, 50, 30, 1), np.uint8), np.zeros((6, 50, 30), np.uint8)
    values[1:5, 6:46, 5:25] = 100
    mask[2:4, 16:26, 10:20] = 1
    values[mask > 0] = 200
    source = open_head(ArraySource(values), "head", 80)
    assert source.frame.box == Box((1, 6, 5), (4, 40, 20))
    labels = source.labels(ArraySource(mask[..., None]))
    classes = labels.read(whole(labels.shape))[..., 0]
    expected = np.zeros((4, 80, 80), np.uint8)
    expected[1:3, 20:40, 30:50] = 1  # 10 columns of padding come before the 20 of the box; then all is doubled
    np.testing.assert_array_equal(classes, expected)
    assert classes.dtype == np.uint8
    bright = source.read(whole(source.shape))[..., 0]
    assert bright[expected > 0].min() > bright[expected == 0].mean()


def test_pixels_are_the_z_scores_on_the_scale_of_the_recipe():
    values = head(3)[0]
    source = open_head(ArraySource(values), "head", 64)
    pixels = source.read(whole(source.shape))
    scores = prepare_head(values, find_head(values, 64))
    np.testing.assert_allclose((pixels / 255 - MEAN) / STD, scores, atol=1e-5)
    assert source.dtype == np.float32


def test_a_volume_of_nothing_and_a_picture_have_no_head():
    with pytest.raises(SourceError, match="p1 holds no value above 0"):
        open_head(ArraySource(np.zeros((3, 4, 5, 1), np.uint8)), "p1", 32)
    with pytest.raises(SourceError, match=r"p1 has 2 axes; INPUT\.HEAD_PX is for volumes"):
        open_head(ArraySource(np.zeros((4, 5, 1), np.uint8)), "p1", 32)
