import numpy as np
import pytest
from scipy import ndimage

from data.patches.grid import Box, whole
from data.patches.otsu import OtsuDetector
from data.patches.tissue import (
    KEEP_ALL,
    SaturationDetector,
    TissueMap,
    TissueRule,
    build_tissue_rule,
    shrunk_shape,
)
from data.patches.tissue import find_tissue as find
from data.sources.source import ArraySource
from tests.slides import make_cfg, noise

GLASS, PINK = (240, 240, 240), (200, 100, 150)


def find_tissue(source, longest_px, saturation):
    return find(source, longest_px, SaturationDetector(saturation))


def tissue_map(mask):
    return TissueMap(mask, np.zeros((*mask.shape, 3), np.uint8), np.zeros(mask.shape, np.uint8))


def half_tissue(shape=(40, 60)):
    image = np.full((*shape, 3), GLASS, np.uint8)
    image[:, : shape[1] // 2] = PINK
    return image


def test_coloured_pixels_are_tissue_and_grey_ones_are_glass():
    found = find_tissue(ArraySource(half_tissue()), longest_px=60, saturation=20)
    assert found.mask.shape == (40, 60)
    assert found.mask[:, :29].all()
    assert not found.mask[:, 31:].any()


def test_saturation_is_a_share_of_the_brightest_channel():
    image = np.zeros((5, 5, 3), np.uint8)
    image[...] = (100, 90, 80)  # 255 * 20 / 100 = 51
    source = ArraySource(image)
    assert find_tissue(source, 5, 51).mask.all()
    assert not find_tissue(source, 5, 52).mask.any()


def test_black_and_white_are_no_tissue():
    for value in (0, 255):
        assert not find_tissue(ArraySource(np.full((9, 9, 3), value, np.uint8)), 9, 1).mask.any()


def test_a_single_coloured_pixel_is_dust():
    image = np.full((9, 9, 3), GLASS, np.uint8)
    image[4, 4] = PINK
    assert not find_tissue(ArraySource(image), 9, 20).mask.any()


def test_the_median_over_neighbours_is_that_of_scipy():
    image = noise(40, 50, 3)
    brightest, darkest = image.max(-1).astype(np.float32), image.min(-1).astype(np.float32)
    median = ndimage.median_filter(255 * (brightest - darkest) / np.maximum(brightest, 1), size=3)
    for saturation in (100, 150, 180, 200):
        np.testing.assert_array_equal(find_tissue(ArraySource(image), 50, saturation).mask, median >= saturation)


def test_an_image_without_colour_is_tissue_everywhere():
    assert find_tissue(ArraySource(np.zeros((40, 60, 1), np.uint8)), 30, 20).mask.tolist() == np.ones((20, 30)).tolist()


def test_the_share_of_a_box_is_taken_at_any_shape():
    tissue = tissue_map(np.array([[True, False], [True, True]]))
    assert tissue.fraction(whole((100, 100)), (100, 100)) == 0.75
    assert tissue.fraction(Box((0, 0), (50, 50)), (100, 100)) == 1
    assert tissue.fraction(Box((0, 50), (50, 50)), (100, 100)) == 0
    assert tissue.fraction(Box((0, 0), (500, 500)), (100, 100)) == 0.75  # only what lies inside counts


def test_a_tiny_box_on_a_tiny_map_has_a_share():
    assert tissue_map(np.ones((1, 1), bool)).fraction(Box((3, 7), (1, 1)), (9, 9)) == 1


@pytest.mark.parametrize(
    ("shape", "shrunk"), [((3000, 1500), (1000, 500)), ((500, 800), (500, 800)), ((9, 9000), (1, 1000))]
)
def test_the_picture_keeps_the_proportions_and_is_never_enlarged(shape, shrunk):
    assert shrunk_shape(shape, 1000) == shrunk


def test_a_rule_of_zero_seeks_no_tissue():
    source = ArraySource(half_tissue())
    assert KEEP_ALL.find(source, "a") is None
    assert TissueRule(0.05, SaturationDetector(20), 60).find(source, "a").mask.any()


def test_slides_have_glass_and_photographs_have_none():
    assert build_tissue_rule(make_cfg(TILES_MIN_TISSUE=0.3)) == TissueRule(0.3, SaturationDetector(20), 1024)
    assert build_tissue_rule(make_cfg(DATASETS_LAYOUT="pairs")).min_fraction == 0


def test_the_config_chooses_the_detector_and_its_sizes():
    options = {"TILES_TISSUE_MIN_PIECE_UM2": 70, "TILES_TISSUE_MAX_HOLE_UM2": 80, "TILES_TISSUE_REJECT_INK": False}
    assert build_tissue_rule(make_cfg(TILES_TISSUE="otsu", **options)).detector == OtsuDetector(70, 80, False)


class Asked:
    """A detector that notes what it is given."""

    def find(self, picture, cell_um2):
        self.shape, self.cell_um2 = picture.shape, cell_um2
        return np.zeros(picture.shape[:2], bool), np.zeros(picture.shape[:2], np.uint8)


@pytest.mark.parametrize(("spacing_um", "cell_um2"), [((0.5, 0.5), 25.0), ((0.5, 0.25), 12.5), (None, 100.0)])
def test_a_cell_has_the_area_of_its_level0_pixels_of_one_um2_each_where_the_file_is_silent(spacing_um, cell_um2):
    asked = Asked()
    find(ArraySource(np.zeros((200, 300, 3), np.uint8), spacing_um), 30, asked)
    assert asked.shape == (20, 30, 3)
    assert asked.cell_um2 == pytest.approx(cell_um2)


def test_a_slide_without_tissue_is_named_in_the_log_and_its_map_is_empty(caplog):
    tissue = TissueRule(0.05).find(ArraySource(np.full((40, 60, 3), GLASS, np.uint8)), "slide7")
    assert not tissue.mask.any()
    assert "slide7: no tissue was found" in caplog.text
    assert "TILES.MIN_TISSUE 0" in caplog.text


def test_the_picture_on_which_tissue_was_sought_is_kept():
    tissue = find_tissue(ArraySource(half_tissue()), 60, 20)
    np.testing.assert_array_equal(tissue.picture, half_tissue())
    assert not tissue.rejected.any()
