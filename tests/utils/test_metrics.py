import math

import numpy as np
import pytest

from utils.metrics import (
    Confusion,
    best_threshold,
    confusion_at,
    count_confusion,
    hausdorff,
    iou_of,
    probability_histograms,
    surface_distances,
    threshold_curve,
    threshold_to_level,
)

A = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
B = np.array([[1, 0, 0, 1], [1, 0, 1, 0]], bool)


def test_counts_and_scores_by_hand():
    counts = count_confusion(A, B)  # both: 2, only A: 1, only B: 2
    assert counts == Confusion(2, 1, 2)
    assert counts.dice == pytest.approx(4 / 7)
    assert counts.iou == pytest.approx(2 / 5)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 4)


def test_dice_of_equal_masks_is_one_and_of_disjoint_masks_zero():
    assert count_confusion(A, A).dice == 1
    assert count_confusion(A, ~A).dice == 0


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty = np.zeros_like(A)
    assert count_confusion(empty, empty).dice == 1
    assert count_confusion(empty, A).dice == 0
    assert count_confusion(A, empty).dice == 0


def test_counts_of_cases_add_up():
    assert count_confusion(A, B) + count_confusion(B, A) == Confusion(4, 3, 3)


def test_histograms_give_the_counts_of_the_thresholded_mask():
    rng = np.random.default_rng(0)
    probabilities, truth = rng.integers(0, 256, (40, 50)).astype(np.uint8), rng.random((40, 50)) < 0.3
    histograms = probability_histograms(probabilities, truth)
    assert histograms.shape == (2, 256)
    assert histograms.sum() == 2000
    for level in (0, 1, 100, 254, 255):
        assert confusion_at(histograms, level) == count_confusion(probabilities >= level, truth)


def test_histograms_of_parts_add_up_to_that_of_the_whole():
    rng = np.random.default_rng(1)
    probabilities, truth = rng.integers(0, 256, 300).astype(np.uint8), rng.random(300) < 0.5
    parts = [probability_histograms(probabilities[part], truth[part]) for part in (slice(0, 7), slice(7, 300))]
    np.testing.assert_array_equal(sum(parts), probability_histograms(probabilities, truth))


def test_the_curve_is_the_dice_of_a_second_implementation_at_each_threshold():
    rng = np.random.default_rng(2)
    truth = rng.random(500) < 0.4
    probabilities = np.clip(rng.normal(np.where(truth, 160, 90), 40), 0, 255).astype(np.uint8)
    thresholds, dice = threshold_curve(probability_histograms(probabilities, truth))
    assert len(thresholds) == len(dice) == 255
    assert (thresholds[0], thresholds[-1]) == (pytest.approx(1 / 255), 1)
    for place in (0, 60, 127, 254):
        mask = probabilities / 255 >= thresholds[place] - 1e-9
        assert dice[place] == pytest.approx(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    threshold, best = best_threshold(probability_histograms(probabilities, truth))
    assert best == dice.max()
    assert dice[threshold_to_level(threshold) - 1] == best


def test_the_best_threshold_is_the_middle_of_a_plateau():
    probabilities, truth = np.array([50, 50, 200], np.uint8), np.array([False, False, True])
    threshold, dice = best_threshold(probability_histograms(probabilities, truth))
    assert dice == 1
    assert threshold == pytest.approx(126 / 255)  # levels 51 to 200 are all perfect


def test_each_threshold_of_the_curve_names_its_own_level():
    assert [threshold_to_level(k / 255) for k in range(1, 256)] == list(range(1, 256))
    assert threshold_to_level(1e-6) == 1


def test_distances_to_the_nearest_point_by_hand():
    points, others = np.array([[0.0, 0.0], [0.0, 4.0]]), np.array([[3.0, 0.0]])
    assert surface_distances(points, others).tolist() == [3, 5]


def test_hausdorff_is_the_worst_of_both_directions():
    points, others = np.array([[0.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 7.0]])
    assert hausdorff(points, others) == (7,)
    assert hausdorff(others, points) == (7,)
    assert hausdorff(points, others, (50, 100)) == (4, 7)


def test_hausdorff_of_empty_sets_is_zero_and_of_one_empty_set_infinite():
    some, none = np.zeros((1, 2)), np.zeros((0, 2))
    assert hausdorff(none, none, (95, 100)) == (0, 0)
    assert hausdorff(some, none) == hausdorff(none, some) == (float("inf"),)
    assert hausdorff(some, some) == (0,)


def test_the_volume_ratio_is_that_by_hand_and_defined_for_empty_masks():
    assert Confusion(true_positive=6, false_positive=3, false_negative=0).volume_ratio == 1.5
    assert Confusion(true_positive=2, false_positive=1, false_negative=4).volume_ratio == 0.5
    assert Confusion().volume_ratio == 1
    assert Confusion(false_negative=5).volume_ratio == 0
    assert math.isinf(Confusion(false_positive=5).volume_ratio)


@pytest.mark.parametrize("counts", [(3, 1, 2), (0, 4, 5), (7, 0, 0), (1, 100, 3)])
def test_the_iou_follows_from_the_dice_of_the_same_pixels(counts):
    assert iou_of(Confusion(*counts).dice) == pytest.approx(Confusion(*counts).iou)


def test_of_two_epochs_the_better_one_is_the_better_by_dice_and_by_iou():
    dices = np.linspace(0, 1, 101)
    assert (np.diff([iou_of(dice) for dice in dices]) > 0).all()
