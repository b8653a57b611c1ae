import numpy as np
import pytest
import torch

from data.patches.volume_transforms import build_volume_transform, mirror, turn
from data.sources.labels import IGNORE
from tests.slides import make_cfg
from tests.small_volumes import ball, intensities

SHAPE = (16, 20, 20)
KINDS = ["FLIP", "ROTATE90", "AFFINE", "DISTORTION", "NOISE", "BLUR", "GAMMA", "BRIGHTNESS"]
OF_VOLUMES = ["MOTION", "BIAS_FIELD", "INTENSITY_SHIFT"]
KEEP_MASK = {"NOISE", "BLUR", "GAMMA", "BRIGHTNESS", *OF_VOLUMES}


def transform_of(**chances):
    options = {f"AUGMENTATION_{name}": value for name, value in chances.items()}
    return build_volume_transform(make_cfg(AUGMENTATION_SET="none", MODEL_AXES=3, **options))


def smooth(shape=SHAPE):
    """A bright ball in a dim volume, and its mask."""
    mask = ball(shape, (8, 11, 6), 5)
    return (40 + 160 * mask[..., None]).astype(np.float32), mask


@pytest.mark.parametrize("name", [*KINDS, *OF_VOLUMES])
def test_each_kind_changes_the_image_and_keeps_its_form(name):
    transform, (image, mask) = transform_of(**{name: 1.0}), smooth()
    before = image.copy(), mask.copy()
    results = [transform(image, mask, seed) for seed in range(4)]
    assert any(not np.allclose(changed, image, atol=1) for changed, _ in results)
    for changed, changed_mask in results:
        assert (changed.shape, changed.dtype) == (image.shape, np.float32)
        assert (changed_mask.shape, changed_mask.dtype) == (mask.shape, np.uint8)
        assert 0 <= changed.min() <= changed.max() <= 255
        assert set(np.unique(changed_mask)) <= {0, 1, IGNORE}
        assert name not in KEEP_MASK or np.array_equal(changed_mask, mask)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_without_any_kind_nothing_changes():
    image, mask = smooth()
    changed, changed_mask = transform_of()(image, mask, 0)
    np.testing.assert_allclose(changed, image, atol=1e-3)
    np.testing.assert_array_equal(changed_mask, mask)


def test_image_and_mask_stay_aligned():
    transform = transform_of(FLIP=0.5, ROTATE90=0.5, AFFINE=1.0, DISTORTION=0.5, AFFINE_DEGREES=20.0)
    for seed in range(6):
        image, mask = transform(*smooth(), seed)
        bright, known = image[..., 0] > 120, mask != IGNORE
        both = 2 * (bright & (mask == 1)).sum() / (bright[known].sum() + (mask == 1).sum())
        assert both > 0.93


def test_what_an_affine_change_brings_in_is_ignored():
    transform = transform_of(AFFINE=1.0, AFFINE_SHIFT=0.3)
    assert any((transform(*smooth(), seed)[1] == IGNORE).any() for seed in range(3))


def test_equal_seeds_give_equal_results_and_no_other_chance_is_touched():
    transform = transform_of(**dict.fromkeys([*KINDS, *OF_VOLUMES], 0.7))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    pairs = [transform(*smooth(), seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(pairs[0][0], pairs[1][0])
    np.testing.assert_array_equal(pairs[0][1], pairs[1][1])
    assert not np.array_equal(pairs[0][0], pairs[2][0])


def test_mirrors_along_three_axes_give_all_eight_symmetries():
    image, mask = intensities(3, 4, 5), np.zeros((3, 4, 5), np.uint8)
    chance = np.random.default_rng(0)
    found = {mirror((image, mask), 0.5, (0, 1, 2), chance)[0].tobytes() for _ in range(100)}
    assert found == {np.flip(image, axes).tobytes() for axes in ([], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2])}


def test_mirrors_keep_to_the_axes_that_are_named():
    image, mask = smooth()
    transform = transform_of(FLIP=1.0, FLIP_AXES=[2])
    np.testing.assert_array_equal(transform(image, mask, 0)[1], mask[:, :, ::-1])


def test_a_turn_of_long_voxels_is_one_in_mm():
    mask = np.zeros((9, 41, 41), np.uint8)
    mask[2:7, 10:31, 18:23] = 1
    image = 200 * mask[..., None].astype(np.float32)
    options = {"AUGMENTATION_SET": "none", "AUGMENTATION_AFFINE": 1.0, "AUGMENTATION_AFFINE_DEGREES": 20.0}
    still = {"AUGMENTATION_AFFINE_SHIFT": 0.0, "AUGMENTATION_AFFINE_SCALE": 0.0, "MODEL_AXES": 3}
    sides = {"cubes": [], "long": [5000, 1000, 1000]}
    moved = {
        name: build_volume_transform(make_cfg(**options, **still, TILES_SPACINGS_UM=side))(image, mask, 1)[1]
        for name, side in sides.items()
    }
    # in mm a long voxel turns further out of its slice than it would as a cube
    assert not np.array_equal(moved["long"], moved["cubes"])
    assert abs(int((moved["long"] == 1).sum()) - int(mask.sum())) < 0.2 * mask.sum()


@pytest.mark.parametrize(("shape", "quarters"), [((3, 4, 4), range(4)), ((3, 4, 5), (0, 2))])
def test_turns_lie_in_the_plane_and_keep_the_shape(shape, quarters):
    image, mask = intensities(*shape), np.zeros(shape, np.uint8)
    chance = np.random.default_rng(0)
    found = {turn((image, mask), 1.0, chance)[0].tobytes() for _ in range(60)}
    assert found == {np.rot90(image, number, (1, 2)).tobytes() for number in quarters}


def test_bytes_and_several_channels_are_augmented_too():
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 2), np.uint8)
    changed, _ = transform_of(GAMMA=1.0, AFFINE=1.0)(image, smooth()[1], 0)
    assert (changed.shape, changed.dtype) == (image.shape, np.float32)
