import cv2
import numpy as np
import pytest
from skimage import filters, measure

from data.patches.otsu import BLACK, BLURRED, INK, SMALL, OtsuDetector, fill_holes, otsu, tissue_threshold
from data.synthetic import draw_slide
from data.synthetic_artefacts import PENS, spoil_slide

SHAPE = (300, 400)
GLASS, PINK, PURPLE, BROWN = (243, 243, 243), (225, 150, 190), (120, 60, 150), (130, 85, 50)
EVERY_PIECE = OtsuDetector(0, 0)


def glass(colour=GLASS, spread=2, shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(colour, spread, (*shape, 3)), 0, 255).astype(np.uint8)


def paint(image, box, colour, spread=12, seed=1):
    """A block of a colour with the grain of tissue, in place."""
    rows, columns = box
    area = image[rows, columns]
    grain = np.random.default_rng(seed).normal(0, spread, area.shape[:2])[..., None]
    image[rows, columns] = np.clip(colour + grain, 0, 255)
    return image


BLOCK = (slice(80, 200), slice(100, 300))


def block(colour=PINK, ground=GLASS, **options):
    return paint(glass(ground), BLOCK, colour, **options)


def share(mask, box):
    return mask[box].mean()


@pytest.mark.parametrize("stain", [PINK, PURPLE, BROWN, (190, 60, 90), (60, 50, 120), (245, 215, 230), (150, 110, 200)])
def test_tissue_of_any_stain_is_found_whole_and_nothing_of_the_glass(stain):
    mask, rejected = OtsuDetector().find(block(stain, spread=5), 16)
    assert share(mask, BLOCK) > 0.97
    assert mask.sum() - mask[BLOCK].sum() < 0.01 * mask.sum()
    assert (rejected == 0).mean() > 0.999


@pytest.mark.parametrize("tint", [(250, 244, 228), (225, 235, 244), (205, 205, 200)])
def test_light_of_another_colour_is_glass_all_the_same(tint):
    mask, _ = OtsuDetector().find(block(np.multiply(PINK, tint) / 255, tint), 16)
    assert share(mask, BLOCK) > 0.97
    assert mask.mean() < 0.21  # of 0.2


def test_glass_alone_is_not_parted_into_noise():
    for spread in (0, 1, 2, 3):
        mask, _ = EVERY_PIECE.find(glass(spread=spread), 16)
        assert not mask.any(), spread


def test_a_thin_core_on_a_wide_slide_is_found():
    core = (slice(100, 102), slice(50, 170))  # a five hundredth of the slide
    mask, _ = EVERY_PIECE.find(paint(glass(), core, PINK), 2500)
    assert share(mask, core) > 0.95
    assert mask.sum() < 300


def test_glass_in_the_shade_of_the_lamp_is_no_tissue():
    lamp = np.linspace(1, 0.85, SHAPE[1])[:, None]
    mask, _ = OtsuDetector().find((glass() * lamp).astype(np.uint8), 16)
    assert not mask.any()


@pytest.mark.parametrize("colours", [(PINK, PURPLE), ((240, 180, 210), (200, 90, 140)), (PINK, PINK)])
def test_tissue_alone_is_kept_whole(colours):
    image = paint(glass(), (slice(None), slice(None)), colours[0])
    mask, _ = OtsuDetector().find(paint(image, BLOCK, colours[1]), 16)
    assert mask.mean() > 0.99


def test_flat_tissue_from_edge_to_edge_has_no_rim_that_could_be_blurred():
    mask, _ = OtsuDetector().find(np.full((*SHAPE, 3), PINK, np.uint8), 16)
    assert mask.all()


def test_dark_tissue_beside_pale_tissue_leaves_the_pale_one():
    image = paint(block(PURPLE), (slice(220, 290), slice(20, 380)), (244, 222, 232), spread=3)
    mask, _ = OtsuDetector().find(image, 16)
    assert share(mask, BLOCK) > 0.97
    assert share(mask, (slice(220, 290), slice(20, 380))) > 0.95


@pytest.mark.parametrize("pen", PENS)
def test_a_pen_mark_on_glass_is_rejected_and_tissue_beside_it_is_not(pen):
    image = block()
    cv2.line(image, (20, 30), (380, 50), PENS[pen], 9, cv2.LINE_AA)
    line = np.zeros(SHAPE, np.uint8)
    cv2.line(line, (20, 30), (380, 50), 1, 13)
    mask, rejected = OtsuDetector().find(image, 16)
    assert not mask[line > 0].any()
    assert (rejected == (BLACK if pen == "black" else INK))[line > 0].mean() > 0.6
    assert share(mask, BLOCK) > 0.97


def test_ink_is_tissue_where_a_stain_has_its_colour_and_the_config_says_so():
    image = block((60, 130, 190))  # aniline blue
    assert share(OtsuDetector().find(image, 16)[0], BLOCK) < 0.1
    assert share(OtsuDetector(reject_ink=False).find(image, 16)[0], BLOCK) > 0.97


def test_a_black_border_is_rejected_and_does_not_move_the_threshold():
    plain, _ = OtsuDetector().find(block(), 16)
    image = block()
    image[:40], image[:, 340:] = 0, 3
    mask, rejected = OtsuDetector().find(image, 16)
    inside = (slice(44, None), slice(0, 336))
    np.testing.assert_array_equal(mask[inside], plain[inside])
    assert not mask[:40].any()
    assert (rejected[:40] == BLACK).all()


def test_a_slide_that_was_never_scanned_is_empty():
    mask, rejected = OtsuDetector().find(np.zeros((*SHAPE, 3), np.uint8), 16)
    assert not mask.any()
    assert (rejected == BLACK).all()


def test_dust_out_of_focus_is_rejected_and_the_same_spot_in_focus_is_not():
    cover = np.zeros(SHAPE, np.float32)
    cv2.circle(cover, (200, 150), 40, 0.25, -1)
    for blur, kept in ((0.8, True), (14, False)):
        soft = cv2.GaussianBlur(cover, (0, 0), blur)[..., None]
        mask, rejected = OtsuDetector().find((glass() * (1 - soft)).astype(np.uint8), 16)
        assert mask.any() == kept
        assert (rejected == BLURRED).any() != kept


def test_a_piece_needs_the_area_that_was_asked_for_in_um2():
    image = paint(block(), (slice(240, 250), slice(20, 30)), PURPLE)  # 100 cells
    speck = (slice(240, 250), slice(20, 30))
    for cell_um2, kept in ((49, False), (60, True)):
        mask, rejected = OtsuDetector(5000, 0).find(image, cell_um2)
        assert bool(share(mask, speck) > 0.8) == kept
        assert (rejected[speck] == SMALL).any() != kept
        assert share(mask, BLOCK) > 0.97


def test_a_hole_is_filled_up_to_the_area_that_was_asked_for_and_never_with_what_was_rejected():
    image = block()
    image[100:110, 120:130] = GLASS
    image[150:170, 220:240] = PENS["green"]
    hole, ink = (slice(101, 109), slice(121, 129)), (slice(150, 170), slice(220, 240))
    for cell_um2, filled in ((10, True), (110, False)):
        mask, _ = OtsuDetector(0, 10_000).find(image, cell_um2)
        assert mask[hole].all() == filled
        assert not mask[ink].any()


def test_holes_are_those_of_a_second_labelling():
    found = np.random.default_rng(0).random((60, 80)) > 0.4
    labels = measure.label(~found, connectivity=1)
    expected = found.copy()
    for region in measure.regionprops(labels):
        top, left, bottom, right = region.bbox
        if region.area <= 4 and top > 0 and left > 0 and bottom < 60 and right < 80:
            expected[labels == region.label] = True
    np.testing.assert_array_equal(fill_holes(found, 4), expected)


def test_a_grey_image_is_fluorescence_if_most_of_it_is_dark_and_transmitted_light_otherwise():
    for ground, tissue in ((6, 90), (235, 150)):
        image = paint(glass((ground,) * 3), BLOCK, (tissue,) * 3)[..., :1].copy()
        mask, rejected = OtsuDetector().find(image, 16)
        assert share(mask, BLOCK) > 0.97
        assert mask.mean() < 0.21
        assert not rejected.any()


def test_the_threshold_parts_as_that_of_a_second_implementation_does_on_the_roots():
    rng = np.random.default_rng(0)
    dark = np.clip(np.concatenate([rng.normal(8, 3, 5000), rng.normal(90, 25, 3000)]), 0, 255).astype(np.uint8)
    ours, _ = otsu(np.bincount(dark, minlength=256))
    theirs = filters.threshold_otsu(np.sqrt(dark.astype(float)), nbins=4000) ** 2
    assert np.mean((dark >= ours) != (dark > theirs)) < 0.002


def test_two_values_are_parted_halfway():
    count = np.zeros(256, int)
    count[[10, 30]] = 100, 50
    assert otsu(count) == (21, pytest.approx(1))  # any of 11 to 30 parts them
    assert tissue_threshold(count) == 21


def test_a_threshold_of_a_single_value_is_all_or_nothing():
    count = np.zeros(256, int)
    assert tissue_threshold(count) > 0
    count[100] = 7
    assert tissue_threshold(count) == 0
    assert tissue_threshold(np.roll(count, -95)) > 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_tiny_pictures_have_an_answer(shape):
    for channels in (1, 3):
        mask, rejected = OtsuDetector().find(np.full((*shape, channels), 200, np.uint8), 1)
        assert mask.shape == rejected.shape == shape


# ---- drawn slides


@pytest.fixture(scope="module")
def drawn():
    image, glomeruli = draw_slide(1, (1400, 1400))
    return image, glomeruli > 0, *spoil_slide(image, 1)


def shrunk(array):
    if array.dtype == bool:
        return cv2.resize(array.astype(np.uint8) * 255, (700, 700), interpolation=cv2.INTER_AREA) > 127
    return cv2.resize(array, (700, 700), interpolation=cv2.INTER_AREA)


def test_what_spoils_a_slide_is_rejected_and_its_glomeruli_stay(drawn):
    image, glomeruli, spoilt, artefacts = drawn
    clean, _ = OtsuDetector().find(shrunk(image), 1)
    mask, _ = OtsuDetector().find(shrunk(spoilt), 1)
    untouched = ~shrunk(np.logical_or.reduce(list(artefacts.values())))
    assert clean[shrunk(glomeruli)].mean() > 0.99
    assert mask[shrunk(glomeruli) & untouched].mean() > 0.97
    for name, where in artefacts.items():
        assert (mask & ~clean)[shrunk(where)].mean() < 0.05, name
    assert (mask != clean)[untouched].mean() < 0.01


def test_spoiling_a_slide_is_repeatable_and_leaves_the_rest_alone(drawn):
    image, _, spoilt, artefacts = drawn
    again, _ = spoil_slide(image, 1)
    assert again.tobytes() == spoilt.tobytes()
    assert set(artefacts) == {*PENS, "dust", "border"}
    assert all(where.any() for where in artefacts.values())
    near = cv2.dilate(np.logical_or.reduce(list(artefacts.values())).astype(np.uint8), np.ones((81, 81))) > 0
    assert np.abs(spoilt.astype(int) - image)[~near].max() <= 4
