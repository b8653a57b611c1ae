import numpy as np
import pytest
import torch

from data.patches.cutmix import draw_box, paste
from data.patches.dataset import PatchDataset
from data.patches.grid import Box
from tests.slides import noise


class Constant:
    """A sample of one value in image and mask."""

    def __init__(self, value, side=24):
        self.name = self.case_id = str(value)
        self.pair = np.full((side, side, 3), 50 * value, np.uint8), np.full((side, side), value, np.uint8)

    def read(self):
        return self.pair


def dataset(cutmix=1.0, seed=1, transform=None, count=5):
    samples = [Constant(value) for value in range(count)]
    return PatchDataset(samples, [0.0] * 3, [1 / 255] * 3, count - 1, transform, seed, cutmix)


def classes_of(target):
    """Class indices of a target of one channel a class."""
    return torch.cat([1 - target.sum(0, keepdim=True), target]).argmax(0)


def test_a_box_lies_inside_and_keeps_the_proportions_where_no_edge_cuts_it():
    chance, uncut = np.random.default_rng(0), []
    for _ in range(200):
        box = draw_box((40, 80), chance)
        assert box == box.within((40, 80))
        if min(box.start) > 0 and box.stop[0] < 40 and box.stop[1] < 80:
            uncut.append(box)
    assert len(uncut) > 20
    assert all(abs(box.size[1] - 2 * box.size[0]) <= 1 for box in uncut)


def test_boxes_fill_a_share_that_is_uniform_but_for_the_edges():
    chance = np.random.default_rng(1)
    shares = [np.prod(draw_box((64, 64, 64), chance).size) / 64**3 for _ in range(500)]
    # of a side s the expected part inside is 1 - s / 4 for each axis; with s = share ** (1 / 3)
    sides = np.linspace(0, 1, 1001) ** (1 / 3)
    assert np.mean(shares) == pytest.approx(np.mean((sides * (1 - sides / 4)) ** 3), abs=0.03)


def test_pasting_takes_image_and_labels_of_the_box_and_leaves_both_as_they_were():
    one, other = (noise(8, 8, 3), noise(8, 8)), (noise(8, 8, 3, seed=1), noise(8, 8, seed=1))
    before = [values.copy() for values in (*one, *other)]
    box = Box((2, 3), (4, 5))
    for values, own, foreign in zip(paste(one, other, box), one, other, strict=True):
        np.testing.assert_array_equal(values[2:6, 3:8], foreign[2:6, 3:8])
        outside = np.ones((8, 8), bool)
        outside[2:6, 3:8] = False
        np.testing.assert_array_equal(values[outside], own[outside])
    for values, kept in zip((*one, *other), before, strict=True):
        np.testing.assert_array_equal(values, kept)


def test_image_and_labels_are_mixed_alike():
    mixed = 0
    for image, target in (dataset(seed=seed)[1] for seed in range(20)):
        found = classes_of(target)
        np.testing.assert_allclose(image[0].numpy(), 50 * found.numpy(), atol=1e-3)
        mixed += len(found.unique()) == 2
    assert mixed >= 10  # of 20, of which a fifth meets itself


def test_the_probability_is_that_of_the_config():
    with_zero, with_half = dataset(0.0), dataset(0.4)
    counts = {"zero": 0, "half": 0}
    for epoch in range(100):
        with_zero.epoch = with_half.epoch = epoch
        counts["zero"] += bool((classes_of(with_zero[2][1]) != 2).any())
        counts["half"] += bool((classes_of(with_half[2][1]) != 2).any())
    assert counts["zero"] == 0
    assert 15 <= counts["half"] <= 45  # 0.4 * 0.8 of 100, and small boxes may be empty


def test_seed_epoch_and_place_decide_the_mix():
    def draws(seed, epoch):
        found = dataset(seed=seed)
        found.epoch = epoch
        return [classes_of(found[place][1]).numpy().tobytes() for place in range(5)]

    assert draws(1, 0) == draws(1, 0)
    assert draws(1, 0) != draws(1, 1)
    assert draws(1, 0) != draws(2, 0)


def test_both_parts_are_augmented_each_by_draws_of_its_own():
    told = []

    def transform(image, mask, draw):
        told.append(draw)
        return image, mask

    found = dataset(transform=transform)
    found[0]
    assert len(told) == len(set(told)) == 2
    alone = dataset(0.0, transform=transform)
    alone[0]
    assert told[2] == told[0]
