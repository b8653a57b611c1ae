from contextlib import contextmanager

import numpy as np
import pytest
from scipy import ndimage

import data.stitching.probability_map as probability_map
import data.tuning as tuning
from data.patches.grid import whole
from data.scoring import score_case
from data.sources.labels import IGNORE
from data.sources.source import ArraySource
from data.stitching.mask import MaskView
from data.stitching.mask_rule import MaskRule
from data.stitching.postprocess import clean_case
from data.tuning import Sample, choose_rule, choose_rules, count_holes, count_objects
from tests.maps import memory_map
from utils.metrics import Confusion, count_confusion


def sample(values, truth, folder, case_id="a", fold=0):
    @contextmanager
    def open_both():
        yield None, ArraySource(truth[..., None])

    return Sample(case_id, fold, memory_map(values, ["a", "b"][: len(values)]), open_both, folder)


def random_sample(folder, seed, case_id="a", fold=0, classes=1):
    """Blobs that are found, some specks and holes, and ignored pixels."""
    random = np.random.default_rng(seed)
    truth = (ndimage.gaussian_filter(random.random((90, 80)), 5) > 0.505).astype(np.uint8)
    noisy = np.clip(truth + 0.35 * random.standard_normal(truth.shape), 0, 1)
    values = np.rint(255 * (0.2 + 0.6 * ndimage.gaussian_filter(noisy, 0.7)))[None].astype(np.uint8)
    if classes == 2:
        truth[:, 40:] *= 2
        values = np.concatenate([values, values[:, :, ::-1] // 2])
    truth[:5] = IGNORE
    return sample(values, truth, folder, case_id, fold)


def true_confusion(one, rule):
    """Confusion of the mask at the map's scale, made as the products make it."""
    with one.open_both() as (_, labels):
        truth = labels.read(whole(labels.shape))[..., 0]
    cleaned = clean_case(one.probabilities, one.scratch / "check.zarr", rule)
    mask, known = MaskView(cleaned.on_image(truth.shape), rule.extent).read(whole(truth.shape)), truth != IGNORE
    pairs = [(mask == number + 1, truth == number + 1) for number in range(len(cleaned.frame.classes))]
    return sum((count_confusion(found & known, true & known) for found, true in pairs), Confusion())


@pytest.mark.parametrize("strip_rows", [512, 7])
@pytest.mark.parametrize("size", [0, 5, 40])
def test_the_dice_of_a_choice_is_that_of_the_mask_that_it_makes(tmp_path, monkeypatch, strip_rows, size):
    cut = probability_map.strips
    monkeypatch.setattr(tuning, "strips", lambda shape: cut(shape, strip_rows))
    one = random_sample(tmp_path, 3)
    for low, peaks in [(0.45, (0.45, 0.6, 0.75)), (0.6, (0.6, 0.78))]:
        pieces = one.objects(low, peaks)
        for place, peak in enumerate(peaks):
            rule = MaskRule(peak, low, size)
            chosen = (pieces.area >= size) & (pieces.reaching[place] > 0)
            assert pieces.confusion(chosen) == true_confusion(one, rule)
            holes = one.holes(rule)
            for largest in (0, 3, 30):
                found = holes.confusion(holes.area <= largest)
                assert found == true_confusion(one, MaskRule(peak, low, size, largest))


def test_two_classes_and_holes_are_counted_as_their_mask_has_them(tmp_path):
    one = random_sample(tmp_path, 5, classes=2)
    with one.open_both() as (_, labels):
        objects = count_objects(one.probabilities, labels, (0.5, 0.3), [(0.5, 0.3)])
        holes = count_holes(one.probabilities, labels, (0.5, 0.3))
    assert objects.confusion(objects.area > 0) == true_confusion(one, MaskRule((0.5, 0.3)))
    assert holes.confusion(holes.area < 0) == true_confusion(one, MaskRule((0.5, 0.3)))


def speckled(folder, case_id="a", fold=0, speck=5, value=180):
    """A block of 20 x 20 that is found with a hole of 3 x 3, and specks that are not in the labels."""
    values, truth = np.zeros((1, 64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    truth[4:24, 4:24], values[0, 4:24, 4:24] = 1, 230
    values[0, 10:13, 10:13] = 0
    for row in range(30, 60, 10):
        values[0, row : row + speck, 40 : 40 + speck] = value
    return sample(values, truth, folder, case_id, fold)


def test_specks_and_holes_go_where_this_helps_and_only_if_asked(tmp_path):
    one = speckled(tmp_path, value=230)
    plain, dice = choose_rule([one], [], MaskRule(0.0))
    assert plain.is_plain
    assert dice == pytest.approx(2 * 391 / (391 + 75 + 400))
    objects, better = choose_rule([one], ["objects"], MaskRule(0.0))
    assert objects == MaskRule(plain.threshold, 0, 30, 0)
    assert better == pytest.approx(2 * 391 / (391 + 400))
    both, best = choose_rule([one], ["objects", "holes"], MaskRule(0.0))
    assert (both.min_object_px, both.max_hole_px) == (30, 10)
    assert best == 1


def test_what_the_config_sets_is_not_tuned(tmp_path):
    fixed = MaskRule(0.0, 0.3, 7, 4)
    found, _ = choose_rule([speckled(tmp_path)], ["low", "objects", "holes"], fixed)
    assert (found.low, found.min_object_px, found.max_hole_px) == (0.3, 7, 4)


def test_a_lower_threshold_is_chosen_where_faint_rims_belong_to_bright_cores(tmp_path):
    values, truth = np.zeros((1, 60, 60), np.uint8), np.zeros((60, 60), np.uint8)
    truth[5:35, 5:35], values[0, 5:35, 5:35], values[0, 15:25, 15:25] = 1, 110, 240
    values[0, 40:58, 2:58] = 110  # as faint as the rim, and no object
    found, dice = choose_rule([sample(values, truth, tmp_path)], ["low"], MaskRule(0.0))
    assert dice == 1
    assert round(255 * found.low) <= 110
    assert 110 < round(255 * found.threshold) <= 240


def test_each_class_gets_its_own_threshold(tmp_path):
    values, truth = np.full((2, 20, 40), 10, np.uint8), np.zeros((20, 40), np.uint8)
    truth[5:15, 2:12], values[0, 5:15, 2:18] = 1, 120
    values[0, 5:15, 2:12] = 220
    truth[5:15, 22:32], values[1, 5:15, 22:32] = 2, 60
    found, _ = choose_rule([sample(values, truth, tmp_path)], ["classes"], MaskRule(0.0))
    first, second = (round(255 * each) for each in found.threshold)
    assert 120 < first <= 220
    assert 10 < second <= 60
    one = sample(values, truth, tmp_path)
    assert true_confusion(one, found).dice == 1
    assert true_confusion(one, choose_rule([one], [], MaskRule(0.0))[0]).dice < 1
    with one.open_both() as (_, labels):
        assert all(each.confusion.dice == 1 for each in score_case("a", one.probabilities, labels, found.extent))


def test_nested_folds_are_scored_at_what_the_others_chose(tmp_path):
    samples = [speckled(tmp_path, "a", 0, 5), speckled(tmp_path, "b", 1, 9), random_sample(tmp_path, 2, "c", 1)]
    rules = choose_rules(samples, ["objects"], MaskRule(0.0), nested=True)
    assert rules.of(0) == choose_rule(samples[1:], ["objects"], MaskRule(0.0))[0]
    assert rules.of(1) == choose_rule(samples[:1], ["objects"], MaskRule(0.0))[0]
    assert rules.kept == choose_rule(samples, ["objects"], MaskRule(0.0))[0]
    assert [row["chosen by folds"] for row in rules.rows()] == ["all", "all but 0", "all but 1"]
    assert choose_rules(samples, [], MaskRule(0.0), nested=False).of(1) == choose_rule(samples, [], MaskRule(0.0))[0]


def test_a_single_fold_cannot_be_nested_and_the_log_says_so(tmp_path, caplog):
    rules = choose_rules([speckled(tmp_path)], [], MaskRule(0.0), nested=True)
    assert rules.of(0) == rules.kept
    assert "SOLVER.NESTED wants two folds" in caplog.text


def test_weights_carry_what_was_tuned_and_not_what_the_config_set(tmp_path):
    rules = choose_rules([speckled(tmp_path, value=230)], ["objects", "holes"], MaskRule(0.0, 0, 0, 9), nested=False)
    card = rules.card(MaskRule(0.0, 0, 0, 9))
    assert card["threshold"] == rules.kept.threshold
    assert (card["thresholds"], card["low"], card["min_object_px"], card["max_hole_px"]) == ((), 0.0, 30, 0)


def test_without_cases_the_threshold_is_in_the_middle():
    rule, _ = choose_rule([], [], MaskRule(0.0))
    assert rule.threshold == pytest.approx(0.5, abs=0.01)
