import numpy as np
import pytest

from benchmarks.dense import count_agreement, dense_probabilities, dice, rising_weights


def first_channel(patches):
    return patches[:, :1].astype(np.float32) / 255


@pytest.mark.parametrize("shape", [(100, 130), (40, 64), (40, 50, 45)])
def test_network_that_gives_back_its_input_gives_the_image(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = dense_probabilities(image, first_channel, 32)
    np.testing.assert_allclose(found[..., 0] * 255, image[..., 0], rtol=1e-4)


def test_every_pixel_inside_lies_under_four_patches():
    seen = np.zeros((1, 1, 128, 128))
    starts = []

    def note(patches):
        starts.append(patches[0, 0, 0, 0])
        return first_channel(patches)

    dense_probabilities(np.zeros((128, 128, 1), np.uint8), note, 64)
    assert len(starts) == 3 * 3
    assert seen.size == 128**2


def test_weights_are_highest_in_the_middle_and_never_zero():
    weights = rising_weights((8, 8))[..., 0]
    assert weights.min() > 0
    assert weights.argmax() in (27, 28, 35, 36)


def test_dice_of_masks_worked_out_by_hand():
    first, second = np.array([[1, 1, 0], [2, 2, 0]]), np.array([[1, 0, 0], [2, 1, 1]])
    assert count_agreement(first, second).tolist() == [2, 8]
    assert dice(count_agreement(first, second)) == pytest.approx(0.5)
    assert dice(np.zeros(2)) == 1.0
