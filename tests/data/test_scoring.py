import math
import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

import data.scoring as scoring
from data.patches.grid import Box, whole
from data.scoring import (
    SCORE_COLUMNS,
    VOLUME_COLUMNS,
    ObjectCounts,
    case_histograms,
    pooled_confusion,
    pooled_rows,
    score_case,
    summary_rows,
)
from data.sources.labels import IGNORE
from data.sources.source import ArraySource
from data.stitching.mask import MaskView
from data.stitching.probability_map import Frame, ProbabilityMap
from tests.maps import memory_map
from utils.metrics import Confusion, best_threshold, confusion_at, threshold_curve
from utils.surface import Surface, surface_overlap


@pytest.fixture(params=["whole", "cut"])
def pieces(request, monkeypatch):
    """Everything in one piece, or in blocks of 10 pixels a side and strips of a few rows."""
    if request.param == "cut":
        monkeypatch.setattr(scoring, "STRIP_CELLS", 120)
        monkeypatch.setattr(scoring, "BLOCK_PX", 100)


def labels(truth, spacing_um=None):
    return ArraySource(np.asarray(truth, np.uint8)[..., None], spacing_um)


def squares(*places, shape=(30, 40), value=1):
    """A mask with squares (row, column, side)."""
    mask = np.zeros(shape, np.uint8)
    for row, column, side in places:
        mask[row : row + side, column : column + side] = value
    return mask


def score(predicted, truth, classes=("a",), spacing_um=None):
    """Scores of class indices taken for certain."""
    channels = np.stack([(predicted == number) * np.uint8(255) for number in range(1, len(classes) + 1)])
    shape = predicted.shape
    probabilities = ProbabilityMap(channels, Frame((0,) * len(shape), shape, shape, tuple(classes), spacing_um))
    return score_case("case", probabilities, labels(truth), 0.5)


@pytest.mark.usefixtures("pieces")
def test_pixels_are_counted_by_hand():
    found = score(squares((0, 0, 10)), squares((0, 5, 10)))[0]
    assert found.confusion == Confusion(true_positive=50, false_positive=50, false_negative=50)
    row = found.row()
    assert row["dice"] == 0.5
    assert row["iou"] == pytest.approx(1 / 3)
    assert row["precision"] == row["recall"] == 0.5
    assert list(row) == SCORE_COLUMNS


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("shape", [(30, 40), (5, 6, 7)])
def test_two_empty_masks_agree_perfectly(shape):
    found = score(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))[0]
    assert [found.row()[name] for name in ("dice", "iou", "precision", "recall")] == [1, 1, 1, 1]
    assert found.hausdorff == found.hausdorff95 == 0
    assert found.objects == ObjectCounts(0, 0, 0)


def test_an_object_against_nothing_scores_zero_and_is_infinitely_far():
    found = score(squares((3, 3, 4)), squares())[0]
    assert found.confusion.dice == 0
    assert math.isinf(found.hausdorff)
    assert found.objects == ObjectCounts(true=0, predicted=1, matched=0)


@pytest.mark.usefixtures("pieces")
def test_hausdorff_of_two_squares_is_their_shift():
    assert score(squares((5, 5, 10)), squares((5, 12, 10)))[0].hausdorff == 7
    assert score(squares((5, 5, 10)), squares((8, 9, 10)))[0].hausdorff == 5  # 3 down, 4 across
    assert score(squares((5, 5, 10)), squares((5, 5, 10)))[0].hausdorff == 0


@pytest.mark.usefixtures("pieces")
def test_hausdorff_is_in_um_where_the_pixel_size_is_known():
    found = score(squares((5, 5, 10)), squares((8, 9, 10)), spacing_um=(2.0, 0.5))[0]
    assert found.hausdorff == pytest.approx(math.hypot(3 * 2, 4 * 0.5))


@pytest.mark.usefixtures("pieces")
def test_hausdorff_is_that_of_all_boundary_cells():
    random = np.random.default_rng(0)
    masks = [ndimage.gaussian_filter(random.random((30, 40)), 2) > 0.5 for _ in range(2)]
    edges = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) for mask in masks]
    distances = np.linalg.norm(edges[0][:, None] - edges[1][None], axis=-1)
    there, back = distances.min(1), distances.min(0)
    found = score(*(mask.astype(np.uint8) for mask in masks))[0]
    assert found.hausdorff == pytest.approx(max(there.max(), back.max()))
    assert found.hausdorff95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))


@pytest.mark.usefixtures("pieces")
def test_a_mask_that_fills_the_image_has_a_boundary_too():
    found = score(np.ones((20, 20), np.uint8), squares((5, 5, 10), shape=(20, 20)))[0]
    assert found.hausdorff == pytest.approx(math.hypot(5, 5))


@pytest.mark.usefixtures("pieces")
def test_objects_are_matched_above_iou_one_half():
    truth = squares((0, 0, 10), (0, 20, 10), (15, 0, 10))
    # an overlap of 70 of 130 pixels, one of 60 of 140, nothing; and one object that is none
    predicted = squares((0, 3, 10), (0, 24, 10), (18, 30, 5))
    found = score(predicted, truth)[0].objects
    assert found == ObjectCounts(true=3, predicted=3, matched=1)


def test_an_overlap_of_exactly_one_half_is_no_match():
    truth, predicted = squares((0, 0, 4)), squares((0, 0, 4))
    predicted[0:4, 4:8] = 1  # 16 of 32
    assert score(predicted, truth)[0].objects.matched == 0
    predicted[0, 7] = 0  # 16 of 31
    assert score(predicted, truth)[0].objects.matched == 1


@pytest.mark.usefixtures("pieces")
def test_objects_are_counted_as_in_the_whole_mask():
    random = np.random.default_rng(1)
    predicted, truth = (random.random((2, 30, 40)) < 0.3).astype(np.uint8)
    found = score(predicted, truth)[0].objects
    corners = np.ones((3, 3))
    numbers = [ndimage.label(mask, corners)[0] for mask in (predicted, truth)]
    assert (found.predicted, found.true) == tuple(each.max() for each in numbers)
    matched = 0
    for number in range(1, numbers[1].max() + 1):
        one = numbers[1] == number
        for other in np.unique(numbers[0][one & (numbers[0] > 0)]):
            two = numbers[0] == other
            matched += np.count_nonzero(one & two) > 0.5 * np.count_nonzero(one | two)
    assert found.matched == matched


@pytest.mark.usefixtures("pieces")
def test_ignored_pixels_are_left_out_of_every_score():
    truth = squares((5, 5, 10))
    predicted = squares((5, 5, 10), (20, 25, 8))
    truth[18:30, 22:38] = IGNORE
    found = score(predicted, truth)[0]
    assert found.confusion == Confusion(100, 0, 0)
    assert found.hausdorff == 0
    assert found.objects == ObjectCounts(1, 1, 1)


@pytest.mark.usefixtures("pieces")
def test_classes_are_scored_apart():
    truth = squares((0, 0, 10)) + 2 * squares((15, 15, 10))
    predicted = 2 * squares((0, 0, 10)) + 2 * squares((15, 15, 10))
    first, second = score(predicted, truth, ("a", "b"))
    assert (first.class_name, second.class_name) == ("a", "b")
    assert first.confusion == Confusion(0, 0, 100)
    assert second.confusion == Confusion(100, 100, 0)
    assert pooled_confusion([first, second]) == Confusion(100, 100, 100)


def test_pooled_lines_sum_pixels_and_objects_of_all_cases():
    scores = score(squares((0, 0, 10)), squares((0, 5, 10))) + score(squares((0, 0, 4)), squares((0, 0, 4)))
    (row,) = pooled_rows(scores, ["a"])
    assert row["dice"] == pytest.approx(2 * 66 / (2 * 66 + 50 + 50))
    assert (row["objects_true"], row["objects_predicted"], row["objects_matched"]) == (2, 2, 1)
    assert "hausdorff" not in row


def random_case(shape=(9, 11), level0=(37, 45), classes=1, seed=0):
    random = np.random.default_rng(seed)
    values = random.integers(0, 256, (classes, *shape), np.uint8)
    frame = Frame((0,) * len(level0), level0, level0, tuple("abc"[:classes]))
    truth = random.choice([*range(classes + 1), IGNORE], p=[0.6, *[0.3 / classes] * classes, 0.1], size=level0)
    return ProbabilityMap(values, frame), truth


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("sizes", [((9, 11), (37, 45)), ((4, 5, 6), (8, 11, 6))])
def test_the_curve_of_histograms_is_that_of_brute_force(sizes):
    probabilities, truth = random_case(*sizes)
    values = probabilities.on_image(truth.shape).read(whole(truth.shape))[..., 0]
    thresholds, dice = threshold_curve(case_histograms(probabilities, labels(truth))[0])
    assert thresholds.tolist() == [level / 255 for level in range(1, 256)]
    known = truth != IGNORE
    for level in range(1, 256):
        mask = (values >= level) & known
        both, total = np.count_nonzero(mask & (truth == 1)), np.count_nonzero(mask) + np.count_nonzero(truth == 1)
        assert dice[level - 1] == pytest.approx(2 * both / total)


def test_histograms_keep_classes_apart_and_leave_ignored_pixels_out():
    probabilities, truth = random_case(classes=2)
    counts = case_histograms(probabilities, labels(truth))
    assert counts.shape == (2, 2, 256)
    for number in range(2):
        assert counts[number, 1].sum() == np.count_nonzero(truth == number + 1)
        assert counts[number].sum() == np.count_nonzero(truth != IGNORE)


@pytest.mark.parametrize("seed", range(5))
def test_the_mask_at_the_tuned_threshold_scores_exactly_what_the_curve_says(seed):
    probabilities, truth = random_case(seed=seed)
    histograms = case_histograms(probabilities, labels(truth))[0]
    threshold, dice = best_threshold(histograms)
    mask = MaskView(probabilities.on_image(truth.shape), threshold)
    (found,) = score_case("case", probabilities, labels(truth), threshold)
    assert found.confusion.dice == dice
    assert found.confusion == confusion_at(histograms, mask.level)


@pytest.mark.parametrize("level", [60, 128, 200])
def test_the_curve_of_several_classes_is_that_of_their_masks(level):
    probabilities, truth = random_case(classes=2)
    counts = case_histograms(probabilities, labels(truth))
    for number, found in enumerate(score_case("case", probabilities, labels(truth), level / 255)):
        assert found.confusion == confusion_at(counts[number], level)


def test_the_scores_of_a_crop_are_those_of_its_own_frame():
    values = squares((2, 2, 6), shape=(12, 20)) * np.uint8(255)
    frame = Frame((4, 10), (12, 20), (30, 50), ("a",))
    (found,) = score_case("case", ProbabilityMap(values[None], frame), labels(squares((2, 2, 6), shape=(12, 20))), 0.5)
    assert found.confusion == Confusion(36, 0, 0)


def test_a_volume_is_scored_like_a_picture():
    truth, predicted = np.zeros((6, 8, 8), np.uint8), np.zeros((6, 8, 8), np.uint8)
    truth[1:4, 1:5, 1:5] = 1
    predicted[2:5, 1:5, 1:5] = 1
    (found,) = score(predicted, truth)
    assert found.confusion == Confusion(32, 16, 16)
    assert found.hausdorff == 1
    assert found.objects == ObjectCounts(1, 1, 0)  # an IoU of 32 of 64


def volume(*boxes, shape=(9, 14, 12)):
    mask = np.zeros(shape, np.uint8)
    for start, size in boxes:
        mask[Box(start, size).slices] = 1
    return mask


@pytest.mark.usefixtures("pieces")
def test_distances_of_volumes_are_in_mm_along_their_own_spacing():
    truth, predicted = volume(((2, 4, 4), (3, 4, 4))), volume(((4, 4, 4), (3, 4, 4)))  # two slices up
    row = score(predicted, truth, spacing_um=(2500.0, 700.0, 700.0))[0].row()
    assert list(row) == VOLUME_COLUMNS
    assert row["hausdorff_mm"] == row["hausdorff95_mm"] == pytest.approx(5)
    assert (row["dice"], row["recall"], row["volume_ratio"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3), 1)
    predicted = volume(((2, 4, 6), (3, 4, 4)))  # two columns across
    assert score(predicted, truth, spacing_um=(2500.0, 700.0, 700.0))[0].row()["hausdorff_mm"] == pytest.approx(1.4)


@pytest.mark.usefixtures("pieces")
def test_the_95th_percentile_leaves_a_single_far_voxel_out():
    truth = volume(((2, 2, 2), (5, 6, 6)))
    predicted = volume(((2, 2, 2), (5, 6, 6)), ((4, 13, 11), (1, 1, 1)))
    row = score(predicted, truth, spacing_um=(1000.0, 1000.0, 1000.0))[0].row()
    assert row["hausdorff_mm"] == pytest.approx(math.hypot(6, 4))
    assert row["hausdorff95_mm"] == 0


@pytest.mark.parametrize("whole_at_once", [True, False])
@pytest.mark.parametrize("tolerance_um", [500.0, 1000.0, 3000.0])
def test_surface_dice_in_strips_is_that_of_the_whole_masks(whole_at_once, tolerance_um, monkeypatch):
    monkeypatch.setattr(scoring, "STRIP_CELLS", 2**20 if whole_at_once else 14 * 12 * 2)
    random, spacing = np.random.default_rng(3), (2000.0, 500.0, 700.0)
    masks = [ndimage.gaussian_filter(random.random((9, 14, 12)), 1.5) > 0.5 for _ in range(2)]
    surfaces = [Surface.of(np.pad(mask, 1)) for mask in masks]
    wanted = surface_overlap(*surfaces, spacing, tolerance_um)
    predicted, truth = (mask.astype(np.uint8) for mask in masks)
    channels, frame = predicted[None] * np.uint8(255), Frame((0, 0, 0), truth.shape, truth.shape, ("a",), spacing)
    (found,) = score_case("case", ProbabilityMap(channels, frame), labels(truth), 0.5, tolerance_um)
    assert found.surface.total == pytest.approx(wanted.total)
    assert found.row()["surface_dice"] == pytest.approx(wanted.dice)


def test_scores_of_empty_volumes_are_defined():
    nothing, something = volume(), volume(((2, 2, 2), (3, 3, 3)))
    row = score(nothing, nothing)[0].row()
    names = ["dice", "recall", "volume_ratio", "surface_dice", "hausdorff95_mm"]
    assert [row[name] for name in names] == [1, 1, 1, 1, 0]
    row = score(something, nothing)[0].row()
    assert [row[name] for name in names] == [0, 1, math.inf, 0, math.inf]
    row = score(nothing, something)[0].row()
    assert [row[name] for name in names] == [0, 0, 0, 0, math.inf]


def test_volumes_have_lines_of_means_in_which_each_case_counts_alike():
    box = volume(((2, 2, 2), (4, 4, 4)))
    scores = score(box, box) + score(volume(((2, 2, 2), (2, 4, 4))), box)
    mean, pooled = summary_rows(scores, ["a"])
    assert (mean["id"], mean["dice"]) == ("(mean)", pytest.approx((1 + 2 / 3) / 2))
    assert (mean["volume_ratio"], mean["hausdorff_mm"]) == (0.75, 1)
    assert (pooled["id"], pooled["dice"]) == ("(pooled)", pytest.approx(2 * 96 / (64 + 64 + 64 + 32)))
    assert pooled["volume_ratio"] == 0.75
    assert pooled["surface_dice"] == pytest.approx((scores[0].surface + scores[1].surface).dice)
    assert summary_rows(score(squares(), squares()), ["a"]) == pooled_rows(score(squares(), squares()), ["a"])


def test_a_map_in_memory_and_its_labels_agree_with_themselves():
    values = np.random.default_rng(0).integers(0, 2, (1, 20, 20), np.uint8) * np.uint8(255)
    (found,) = score_case("case", memory_map(values, ["a"]), labels(values[0] // 255), 0.5)
    assert found.confusion.dice == 1
    assert found.objects.matched == found.objects.true


def test_memory_of_scoring_does_not_follow_the_area(monkeypatch):
    monkeypatch.setattr(scoring, "BLOCK_PX", 2**14)
    monkeypatch.setattr(scoring, "STRIP_CELLS", 2**14)
    peaks = []
    for rows in (500, 4000):
        values = np.zeros((1, rows, 200), np.uint8)
        values[:, 50:450:20, 20:180] = 255
        truth = labels(np.kron(values[0] // 255, np.ones((2, 2), np.uint8)))
        frame = Frame((0, 0), truth.shape, truth.shape, ("a",))
        tracemalloc.start()
        score_case("case", ProbabilityMap(values, frame), truth, 0.5)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
