import numpy as np
import pytest
import torch

from utils.diffusion import Diffusion
from utils.preparation import Preparation


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_bytes_and_floats_of_the_same_scale_are_prepared_alike(kind):
    pixels = torch.from_numpy(np.array([[[[0, 255, 51]], [[102, 0, 255]]]], kind))
    found = Preparation([0.5, 0.2], [0.25, 0.5])(pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[[[-2, 2, -1.2]], [[0.4, -0.4, 1.6]]]]))


def test_pixels_are_diffused_as_grey_values_of_0_to_255_before_they_are_normalised():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 20, 24), np.uint8))
    found = Preparation([0.4], [0.2], (5, 1 / 7, 30.0))(pixels)
    torch.testing.assert_close(found, (Diffusion(5, 1 / 7, 30.0)(pixels.float()) / 255 - 0.4) / 0.2)


def test_every_grey_value_is_what_its_formula_gives_in_single_precision():
    grey = np.arange(256, dtype=np.uint8)
    found = Preparation([0.449], [0.226])(torch.from_numpy(grey[None, None]))[0, 0].numpy()
    expected = (grey.astype(np.float32) / np.float32(255) - np.float32(0.449)) / np.float32(0.226)
    assert found.tobytes() == expected.tobytes()
