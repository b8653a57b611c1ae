import itertools

import numpy as np
import pytest
import torch

from config import load_cfg
from utils.diffusion import Diffusion, build_diffusion

TRUS = Diffusion(5, 1 / 7, 30.0)  # FEATURES, row T2


def slowly(image, steps, step, kappa):
    """The diffusion of (rows, columns) pixel by pixel, in double precision."""
    rows, columns = image.shape
    now = image.astype(float)
    for _ in range(steps):
        new = now.copy()
        for row, column in itertools.product(range(rows), range(columns)):
            for down, right in itertools.product((-1, 0, 1), repeat=2):
                if (down, right) == (0, 0):
                    continue
                distance = 2**0.5 if down and right else 1.0
                other = now[min(max(row + down, 0), rows - 1), min(max(column + right, 0), columns - 1)]
                difference = other - now[row, column]
                conductance = 1 / (1 + (difference / kappa) ** 2)
                new[row, column] += step / distance**2 * conductance * difference
        now = new
    return now


def diffused(image, diffusion=TRUS):
    return diffusion(torch.from_numpy(np.asarray(image, np.float32))[None, None])[0, 0].numpy()


def speckle(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(9, 13), (1, 6), (2, 2), (1, 1)])
@pytest.mark.parametrize(("steps", "step", "kappa"), [(5, 1 / 7, 30.0), (1, 0.1, 5.0), (8, 1 / 6, 200.0)])
def test_the_diffusion_is_that_of_a_plain_loop(shape, steps, step, kappa):
    image = speckle(*shape)
    found = diffused(image, Diffusion(steps, step, kappa))
    np.testing.assert_allclose(found, slowly(image, steps, step, kappa), atol=2e-4)


def test_one_step_by_hand():
    # a difference of 60 is twice kappa: it is conducted at 1 / (1 + 2^2)
    found = diffused([[0, 0, 0], [0, 0, 60], [0, 0, 0]], Diffusion(1, 1 / 7, 30.0))
    flow = 60 / 5 / 7
    assert found[1, 1] == pytest.approx(flow, abs=1e-4)
    assert found[0, 1] == pytest.approx(flow / 2, abs=1e-4)
    # past the border lie the pixels of its own column once more: itself beside it, two of 0 across the corners
    assert found[1, 2] == pytest.approx(60 - 3 * flow - 4 * flow / 2, abs=1e-4)


@pytest.mark.parametrize("shape", [(7, 5), (4, 5, 6), (9,)])
@pytest.mark.parametrize("value", [0.0, 0.1, 77.0, 255.0])
def test_a_constant_image_stays_as_it_is(shape, value):
    image = torch.full((2, 3, *shape), value)
    assert torch.equal(TRUS(image), image)


def test_no_value_leaves_the_range_of_the_image():
    found = diffused(speckle(40, 50), Diffusion(50, 1 / 6, 1e6))
    assert 0 <= found.min() < found.max() <= 255


def test_images_and_channels_do_not_mix():
    images = torch.from_numpy(speckle(2, 3, 8, 9))
    alone = torch.stack([torch.cat([TRUS(one[None, None]) for one in each], 1)[0] for each in images])
    assert torch.equal(TRUS(images), alone)


@pytest.mark.parametrize(("turn", "back"), [(lambda x: x.flip(-1), lambda x: x.flip(-1)), (lambda x: x.mT,) * 2])
def test_a_mirrored_or_turned_image_is_diffused_alike(turn, back):
    images = torch.from_numpy(speckle(1, 1, 12, 15))
    torch.testing.assert_close(back(TRUS(turn(images))), TRUS(images), rtol=0, atol=1e-4)


def test_speckle_is_smoothed_and_an_edge_kept():
    image = np.where(np.arange(40) < 20, 40.0, 200.0) + 6 * np.random.default_rng(0).standard_normal((40, 40))
    found = diffused(image)
    assert found[:, :18].std() < image[:, :18].std() / 3
    assert found[:, 20].mean() - found[:, 19].mean() > 120


def test_a_volume_of_equal_slices_is_diffused_as_each_slice_is_without_its_corners():
    step = Diffusion(1, 1 / 20, 30.0)
    flat = torch.from_numpy(speckle(1, 1, 6, 7))
    deep = step(flat[:, :, None].expand(-1, -1, 5, -1, -1))
    assert torch.allclose(deep[:, :, 0], deep[:, :, 2], atol=1e-4)


def test_the_config_says_steps_step_and_kappa_or_nothing():
    assert build_diffusion(load_cfg()) == ()
    assert build_diffusion(load_cfg("", ["INPUT.DIFFUSION", "5"])) == (5, 1 / 7, 30.0)
