from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from data.cases import Case
from data.patches.grid import Box, whole
from data.sources import SourceError
from data.sources.opening import build_reader
from tests.slides import make_cfg, noise, write_pyramid
from utils.rle import RleError, encode_rle


@pytest.fixture
def case(tmp_path):
    write_pyramid(tmp_path / "a.tif", noise(64, 96, 3))
    mask = noise(64, 96, seed=1) > 200
    return Case("a", tmp_path / "a.tif", {"object": encode_rle(mask)}), mask


def test_image_and_labels_share_a_frame(case):
    case, mask = case
    with build_reader(make_cfg()).open_both(case) as (image, labels):
        assert image.shape == labels.shape == (64, 96)
        assert image.spacing_um == pytest.approx((0.5, 0.5))
        np.testing.assert_array_equal(labels.read(whole(labels.shape))[..., 0], mask)


def test_a_crop_cuts_image_and_labels_alike(case):
    case, mask = case
    with build_reader(make_cfg(DATASETS_CROP=[4, 8, 40, 50])).open_both(case) as (image, labels):
        assert image.shape == labels.shape == (40, 50)
        assert image.frame_level0 == (Box((4, 8), (40, 50)), (64, 96))
        np.testing.assert_array_equal(image.read(whole(image.shape)), tifffile.imread(case.image)[4:44, 8:58])
        np.testing.assert_array_equal(labels.read(whole(labels.shape))[..., 0], mask[4:44, 8:58])


def test_the_pixel_size_of_the_config_overrules_the_file_with_and_without_a_crop(case):
    case, _ = case
    for crop in ([], [4, 8, 40, 50]):
        with build_reader(make_cfg(DATASETS_SPACING_UM=0.7, DATASETS_CROP=crop)).open_image(case) as image:
            assert image.spacing_um == (0.7, 0.7)


def test_the_pixel_size_of_a_case_overrules_the_config(case):
    case, _ = case
    with build_reader(make_cfg(DATASETS_SPACING_UM=0.7)).open_image(replace(case, spacing_um=0.25)) as image:
        assert image.spacing_um == (0.25, 0.25)


@pytest.mark.parametrize("crop", [[0, 0, 65, 96], [30, 0, 40, 10], [0, 0, 0, 5, 5, 5]])
def test_a_crop_that_does_not_fit_is_an_error_and_leaves_no_file_open(case, crop):
    case, _ = case
    with (
        pytest.raises(SourceError, match=r"DATASETS\.CROP"),
        build_reader(make_cfg(DATASETS_CROP=crop)).open_image(case),
    ):
        pass


def test_the_size_of_a_mask_is_compared_before_the_crop(tmp_path, case):
    case, mask = case
    for shape, good in (((64, 96), True), ((40, 50), False)):
        Image.fromarray(mask[: shape[0], : shape[1]]).save(tmp_path / "mask.png")
        other = Case("a", case.image, tmp_path / "mask.png")
        reader = build_reader(make_cfg(DATASETS_CROP=[4, 8, 40, 50]))
        if good:
            with reader.open_both(other) as (_, labels):
                np.testing.assert_array_equal(labels.read(whole((40, 50)))[..., 0], mask[4:44, 8:58])
        else:
            with pytest.raises(SourceError, match=r"mask\.png is \(40, 50\)"), reader.open_both(other):
                pass


def test_bad_run_lengths_are_an_error_of_the_case(case):
    case, _ = case
    with (
        pytest.raises(RleError, match="3 numbers"),
        build_reader(make_cfg()).open_both(Case("a", case.image, {"object": "1 2 3"})),
    ):
        pass


def test_an_image_with_other_channels_than_the_network_takes_is_an_error_naming_both(case):
    case, _ = case
    with (
        pytest.raises(SourceError, match=r"a\.tif has 3 channels; MODEL\.IN_CHANNELS is 4"),
        build_reader(make_cfg(MODEL_IN_CHANNELS=4)).open_image(case),
    ):
        pass


def test_a_network_of_one_channel_takes_the_grey_values_of_a_colour_image(case):
    case, _ = case
    with build_reader(make_cfg(MODEL_IN_CHANNELS=1, DATASETS_CROP=[4, 8, 40, 50])).open_image(case) as image:
        assert (image.channels, image.shape) == (1, (40, 50))
        assert image.frame_level0[1] != (40, 50)
        assert image.read(Box((0, 0), (2, 3))).shape == (2, 3, 1)
