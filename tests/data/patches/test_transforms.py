import numpy as np
import pytest

from data.patches.transforms import STAINS_OD, build_transform, scale_stains
from tests.slides import make_cfg, noise

GEOMETRY = ["FLIP", "ROTATE90", "AFFINE", "PERSPECTIVE", "DISTORTION"]
COLOUR_ONLY = ["HSV", "STAIN"]
APPEARANCE = ["NOISE", "BLUR", "CLAHE", "BRIGHTNESS", "GAMMA", *COLOUR_ONLY]


def only(*names, channels=3, seed=42):
    """The transform in which just these kinds always happen."""
    options = {f"AUGMENTATION_{name}": float(name in names) for name in GEOMETRY + APPEARANCE}
    return build_transform(make_cfg(MODEL_IN_CHANNELS=channels, SEED=seed, **options))


def shapes(side=96, channels=3):
    """A picture of a bright ring and a bar, not symmetric, and the mask of its bright pixels."""
    rows, columns = np.mgrid[:side, :side]
    radius = np.hypot(rows - side * 0.4, columns - side * 0.55)
    mask = ((radius < side * 0.3) & (radius > side * 0.12)) | ((abs(rows - side * 0.8) < 5) & (columns > side * 0.5))
    colour = np.array([220, 170, 200][:channels])
    return np.where(mask[..., None], colour, colour // 4).astype(np.uint8), mask.astype(np.uint8)


def overlap(image, mask):
    bright = image[..., 0] > 140
    return 2 * (bright & (mask == 1)).sum() / (bright.sum() + (mask == 1).sum())


@pytest.mark.parametrize("channels", [1, 3])
def test_with_every_probability_at_zero_nothing_changes(channels):
    image, mask = noise(64, 64, channels), noise(64, 64) % 3
    for seed in range(5):
        changed, changed_mask = only(channels=channels)(image, mask, seed)
        np.testing.assert_array_equal(changed, image)
        np.testing.assert_array_equal(changed_mask, mask)


@pytest.mark.parametrize(
    ("name", "channels"),
    [(name, c) for name in GEOMETRY + APPEARANCE for c in (1, 3) if c == 3 or name not in COLOUR_ONLY],
)
def test_each_kind_changes_the_image_and_keeps_shape_and_dtype(name, channels):
    image, mask = shapes(channels=channels)
    transform = only(name, channels=channels)
    results = [transform(image, mask, seed) for seed in range(24)]
    for changed, changed_mask in results:
        assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
        assert (changed_mask.shape, changed_mask.dtype) == (mask.shape, np.uint8)
    assert sum(not np.array_equal(changed, image) for changed, _ in results) >= 12


@pytest.mark.parametrize("name", COLOUR_ONLY)
def test_colours_of_a_grey_image_are_left_alone(name):
    image, mask = shapes(channels=1)
    np.testing.assert_array_equal(only(name, channels=1)(image, mask, 0)[0], image)


@pytest.mark.parametrize("name", APPEARANCE)
def test_what_changes_the_colours_leaves_the_mask(name):
    image, mask = shapes()
    for seed in range(5):
        np.testing.assert_array_equal(only(name)(image, mask, seed)[1], mask)


@pytest.mark.parametrize("names", [*[(name,) for name in GEOMETRY], GEOMETRY], ids=str)
def test_image_and_mask_stay_aligned(names):
    image, mask = shapes()
    for seed in range(8):
        assert overlap(*only(*names)(image, mask, seed)) > 0.96


def test_aligned_means_that_another_mask_would_not_do():
    image, mask = shapes()
    changed = [only("ROTATE90")(image, mask, seed) for seed in range(8)]
    assert min(overlap(picture, mask) for picture, _ in changed) < 0.8


@pytest.mark.parametrize("name", ["FLIP", "ROTATE90"])
def test_flips_and_turns_move_pixels_without_changing_them(name):
    image, mask = noise(32, 32, 3), noise(32, 32) % 4
    turned, turned_mask = only(name)(image, mask, 1)
    same = [
        (other, other_mask)
        for other, other_mask in (
            (np.rot90(a, k), np.rot90(b, k)) for a, b in ((image, mask), (image[::-1], mask[::-1])) for k in range(4)
        )
        if np.array_equal(other, turned) and np.array_equal(other_mask, turned_mask)
    ]
    assert len(same) == 1


@pytest.mark.parametrize("names", [(name,) for name in GEOMETRY], ids=str)
def test_a_mask_never_gets_a_value_that_it_had_not(names):
    mask = np.zeros((96, 96), np.uint8)
    mask[20:60, 30:70], mask[70:, 70:] = 7, 255
    for seed in range(8):
        assert set(np.unique(only(*names)(noise(96, 96, 3), mask, seed)[1])) <= {0, 7, 255}


def test_equal_seeds_give_equal_results_whatever_came_before():
    image, mask = shapes()
    transform, other = only(*GEOMETRY, *APPEARANCE), only(*GEOMETRY, *APPEARANCE, seed=7)
    first = transform(image, mask, 5)
    transform(image, mask, 6)
    for again in (transform(image, mask, 5), other(image, mask, 5)):
        np.testing.assert_array_equal(again[0], first[0])
        np.testing.assert_array_equal(again[1], first[1])


def test_other_seeds_give_other_results():
    image, mask = shapes()
    transform = only(*GEOMETRY, *APPEARANCE)
    assert len({transform(image, mask, seed)[0].tobytes() for seed in range(6)}) == 6


def test_steps_are_drawn_apart_from_one_another():
    image, mask = noise(8, 8, 3), noise(8, 8)
    cfg = make_cfg(**{f"AUGMENTATION_{name}": 0.5 * (name == "FLIP") for name in GEOMETRY + APPEARANCE})
    transform = build_transform(cfg)
    ways = {other.tobytes(): 0 for other in (image, image[::-1], image[:, ::-1], image[::-1, ::-1])}
    for seed in range(200):
        ways[transform(image, mask, seed)[0].tobytes()] += 1
    assert len(ways) == 4
    assert min(ways.values()) > 25  # a quarter of 200 each, by chance at least half of that


def test_a_large_seed_is_taken():
    image, mask = shapes()
    only("FLIP", "NOISE")(image, mask, 2**32 - 1)


def test_the_image_given_is_left_as_it_was():
    image, mask = shapes()
    before = image.copy(), mask.copy()
    for seed in range(4):
        only(*GEOMETRY, *APPEARANCE)(image, mask, seed)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_stains_of_unchanged_strength_give_the_image_back():
    image = noise(64, 64, 3)
    again = scale_stains(image, np.ones(3, np.float32))
    assert again.dtype == np.uint8
    assert np.abs(again.astype(int) - image).max() <= 1


def test_stronger_stains_are_darker_and_clear_glass_stays_clear():
    image = np.array([[[255, 255, 255], [180, 90, 150]]], np.uint8)
    strong, weak = (scale_stains(image, np.full(3, factor, np.float32)).astype(int) for factor in (1.15, 0.85))
    assert strong[0, 0].tolist() == weak[0, 0].tolist() == [255, 255, 255]
    assert (strong[0, 1] < image[0, 1]).all()
    assert (weak[0, 1] > image[0, 1]).all()


def test_one_factor_for_all_stains_scales_the_optical_density():
    image = np.array([[[180, 90, 150]]], np.uint8)
    expected = 256 * ((image + 1.0) / 256) ** 1.1 - 1
    assert np.abs(scale_stains(image, np.full(3, 1.1, np.float32)) - expected).max() <= 0.51


@pytest.mark.parametrize("name", STAINS_OD)
def test_a_factor_of_one_stain_changes_what_it_absorbs_and_nothing_else(name):
    stains = STAINS_OD[name] / np.linalg.norm(STAINS_OD[name], axis=1, keepdims=True)
    amounts = np.array([0.3, 0.2])
    for number in range(2):
        factors = np.ones(3, np.float32)
        factors[number] = 1.3
        before, after = (256 * 10 ** -(each @ stains) - 1 for each in (amounts, amounts * factors[:2]))
        changed = scale_stains(np.rint(before).astype(np.uint8)[None, None], factors, STAINS_OD[name])
        assert np.abs(changed - after).max() <= 1.5  # the input was rounded


def test_stains_and_their_strength_come_from_the_config():
    image, mask = shapes()
    changes = {}
    for stains, strength in (("he", 0.1), ("he", 0.4), ("pas", 0.4)):
        options = {f"AUGMENTATION_{name}": float(name == "STAIN") for name in GEOMETRY + APPEARANCE}
        cfg = make_cfg(AUGMENTATION_STAINS=stains, AUGMENTATION_STAIN_STRENGTH=strength, **options)
        changed, same = build_transform(cfg)(image, mask, 3)
        np.testing.assert_array_equal(same, mask)
        changes[stains, strength] = changed.astype(int) - image
    assert np.abs(changes["he", 0.1]).mean() < 0.5 * np.abs(changes["he", 0.4]).mean()
    assert (changes["he", 0.4] != changes["pas", 0.4]).any()


def test_intensities_that_are_no_bytes_keep_their_range_and_go_where_their_mask_goes():
    image, mask = shapes()
    transform = only("FLIP", "ROTATE90", "AFFINE")
    found, moved = transform(image, mask, 3)
    exact, again = transform((image * np.float32(2) - 100).astype(np.float32), mask, 3)
    assert exact.dtype == np.float32
    np.testing.assert_array_equal(again, moved)
    np.testing.assert_allclose(exact, found * 2.0 - 100, atol=4)  # beyond 0 to 255, and not rounded


@pytest.mark.parametrize(("axes", "axis"), [([0], 0), ([1], 1)])
def test_one_axis_alone_may_be_mirrored(axes, axis):
    cfg = make_cfg(AUGMENTATION_SET="none", AUGMENTATION_FLIP=1.0, AUGMENTATION_FLIP_AXES=axes)
    image, mask = shapes()
    found = build_transform(cfg)(image, mask, 0)
    np.testing.assert_array_equal(found[0], np.flip(image, axis))
    np.testing.assert_array_equal(found[1], np.flip(mask, axis))
