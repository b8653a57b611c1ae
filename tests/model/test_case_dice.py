from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data.patches.grid import Box
from model.callbacks import case_dice
from model.callbacks.case_dice import CaseDice, largest_object

SHAPE = (3, 4, 4)


def sample(case_id, z, rows=4):
    return SimpleNamespace(case_id=case_id, box=Box((z, 0, 0), (1, rows, 4)), shape=SHAPE)


def loader(samples, bs=2):
    return SimpleNamespace(dataset=SimpleNamespace(samples=samples), bs=bs)


def feed(metric, samples, predicted, truth, bs=2, batches=None):
    """Accumulate masks (n, K, rows, columns) of all samples in batches, or some of the batches."""
    metric.reset()
    dl, number = loader(samples, bs), range(-(-len(samples) // bs)) if batches is None else batches
    for iteration, batch in enumerate(number):
        own = slice(batch * bs, (batch + 1) * bs)
        logits = torch.tensor(predicted[own] * 2.0 - 1)
        targets = torch.tensor(truth[own].astype(np.uint8))
        metric.accumulate(SimpleNamespace(pred=logits, yb=(targets,), iter=iteration, dl=dl))
    return metric


def masks(count=6, classes=1, rows=4):
    return np.zeros((count, classes, rows, 4), bool), np.zeros((count, classes, rows, 4), np.uint8)


SIX = [sample(case, z) for case in "ab" for z in range(3)]


@pytest.mark.parametrize("bs", [2, 4, 6])
def test_it_is_the_mean_over_cases_not_over_pixels(bs):
    predicted, truth = masks()
    truth[0:3], predicted[0:3] = 1, True  # all of a: Dice 1
    truth[4, 0, 0, :2], predicted[4, 0, 0, 0] = 1, True  # of b 1 of 2 pixels: 2/3
    assert feed(CaseDice(False), SIX, predicted, truth, bs).value == pytest.approx((1 + 2 / 3) / 2)
    assert CaseDice(True).name == "valid_dice"


def test_of_a_prediction_the_largest_object_over_faces_of_the_volume_counts():
    predicted, truth = masks()
    truth[0:3, 0, 0, 0] = 1
    predicted[0:3, 0, 0, 0] = True  # three voxels, one above the other
    predicted[1, 0, 2:4, 3] = True  # two elsewhere
    predicted[2, 0, 1, 1] = True  # over a corner
    assert feed(CaseDice(True), SIX, predicted, truth).value == 1
    assert feed(CaseDice(False), SIX, predicted, truth).value == pytest.approx((6 / (6 + 3) + 1) / 2)


def test_a_case_without_tumour_and_prediction_is_perfect_and_one_without_either_is_0():
    predicted, truth = masks()
    assert feed(CaseDice(True), SIX, predicted, truth).value == 1
    predicted[0, 0, 0, 0] = True
    assert feed(CaseDice(True), SIX, predicted, truth).value == 0.5


def test_ignored_pixels_and_what_lies_past_the_image_do_not_count():
    samples = [sample(case, z, rows=6) for case in "ab" for z in range(3)]
    predicted, truth = masks(rows=6)
    truth[0, 0, 1], predicted[0, 0, 1] = 1, True
    predicted[0, 0, 2], truth[0, 0, 2] = True, 255
    predicted[0, 0, 4:], truth[0, 0, 4:] = True, 255
    assert feed(CaseDice(True), samples, predicted, truth).value == 1


def test_classes_count_alike():
    predicted, truth = masks(classes=2)
    predicted[0, 1, 0, 0] = True
    assert feed(CaseDice(True), SIX, predicted, truth).value == 0.75


def test_processes_bring_their_batches_together(monkeypatch):
    predicted, truth = masks()
    truth[0:3], predicted[0:2] = 1, True
    truth[4, 0, 0, :2], predicted[4, 0, 0, 0] = 1, True
    alone = feed(CaseDice(True), SIX, predicted, truth).value
    parts = []
    monkeypatch.setattr(case_dice, "rank_count", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(case_dice, "own_rank", lambda rank=rank: rank)
        one = feed(CaseDice(True), SIX, predicted, truth, batches=[rank, rank + 2][: 2 - rank])
        monkeypatch.setattr(case_dice, "gather_over_ranks", lambda value: parts.append(value) or [])
        one.pool()
    monkeypatch.setattr(case_dice, "gather_over_ranks", lambda value: parts)
    one.pool()
    assert one.value == alone


def test_the_largest_object_of_nothing_is_nothing():
    assert not largest_object(np.zeros((2, 2), bool)).any()
    assert largest_object(np.array([[1, 0, 1], [1, 0, 0]], bool)).tolist() == [[True, False, False]] * 2
