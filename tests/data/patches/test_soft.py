import numpy as np
import pytest
import torch

from data.patches.soft import as_fractions, soft_target, soften
from data.patches.transforms import build_transform
from data.sources.labels import IGNORE
from tests.slides import make_cfg, noise


def test_probabilities_become_targets_by_hand():
    fractions = soften(np.uint8([[[0, 51], [255, 128]]]))
    assert fractions.tolist() == [[[0, 51], [254, 127]]]  # 50.8 and 127.498 before they are rounded
    target = soft_target(fractions)
    assert target.dtype == torch.float32
    torch.testing.assert_close(target, torch.tensor([[[0, 1.0]], [[51 / 254, 0.5]]]))


def test_class_indices_become_fractions_and_fractions_stay():
    fractions = as_fractions(np.uint8([[0, 1], [2, IGNORE]]), 2, axes=2)
    assert fractions.tolist() == [[[0, 0], [254, 0]], [[0, 254], [IGNORE, IGNORE]]]
    assert as_fractions(fractions, 2, axes=2) is fractions
    assert soft_target(fractions).tolist() == [[[0, 1], [0, IGNORE]], [[0, 0], [1, IGNORE]]]


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_fractions_are_augmented_as_the_class_indices_would_be(classes):
    heavy = dict.fromkeys(("AFFINE", "PERSPECTIVE", "DISTORTION", "ROTATE90"), 1)
    transform = build_transform(make_cfg(**{f"AUGMENTATION_{name}": value for name, value in heavy.items()}))
    image, mask = noise(32, 32, 3), noise(32, 32, seed=1) % (classes + 1)
    for seed in range(4):
        expected = as_fractions(transform(image, mask, seed)[1], classes, axes=2)
        found = transform(image, as_fractions(mask, classes, axes=2), seed)[1]
        assert found.shape == expected.shape
        assert (found != expected).mean() < 0.01  # opencv decides a tie between two pixels otherwise
