import numpy as np
import pytest

from data.patches.grid import Box, whole
from data.sources.labels import ScaledLabels
from data.sources.runs import IGNORE, RunLabels
from data.sources.source import ArraySource
from utils.rle import find_runs


def masks(shape, count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random((-(-shape[0] // 4), -(-shape[1] // 4))) < 0.4 for _ in range(count)]


def layers_and_mask(shape, indices):
    """Layers of coarse blocks, and what painting one over the other gives."""
    painted, layers = np.zeros(shape, np.uint8), []
    for index, coarse in zip(indices, masks(shape, len(indices)), strict=True):
        mask = coarse.repeat(4, 0).repeat(4, 1)[: shape[0], : shape[1]]
        painted[mask] = index
        layers.append((index, find_runs(mask.T.ravel())))
    return layers, painted


def test_ignored_pixels_and_pixels_taken_away_by_hand():
    layers = [(1, (np.array([0]), np.array([4]))), (0, (np.array([1]), np.array([2])))]
    ignored = (IGNORE, (np.array([2, 5]), np.array([1, 1])))
    assert RunLabels([*layers, ignored], (6, 1), 1).read(whole((6, 1))).ravel().tolist() == [1, 0, 255, 1, 0, 255]


def test_nothing_but_what_takes_away_is_background():
    labels = RunLabels([(0, (np.array([1]), np.array([2])))], (6, 1), 1)
    assert not labels.read(whole((6, 1))).any()
    assert labels.is_empty(whole((6, 1)))
    assert RunLabels([], (6, 1), 1).is_empty(whole((6, 1)))


@pytest.mark.parametrize("indices", [[1, 0, IGNORE], [1, 2, 0, IGNORE], [IGNORE], [2, 0, 1], [1, IGNORE, 2]])
def test_layers_by_region_equal_those_painted_one_over_the_other(indices):
    layers, painted = layers_and_mask((31, 47), indices)
    labels = RunLabels(layers, (31, 47), 2)
    for start in np.ndindex(6, 6):
        box = Box(tuple(5 * n for n in start), (6, 11)).within((31, 47))
        np.testing.assert_array_equal(labels.read(box)[..., 0], painted[box.slices])
        assert labels.is_empty(box) == (not painted[box.slices].any())


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("shape", [(32, 48), (16, 24), (8, 12), (16, 48), (4, 16)])
def test_ignored_runs_and_their_pixels_give_the_same_labels_at_any_scale(classes, shape):
    layers, painted = layers_and_mask((32, 48), [*range(1, classes + 1), 0, IGNORE])
    by_runs = ScaledLabels(RunLabels(layers, (32, 48), classes), shape, classes)
    by_pixels = ScaledLabels(ArraySource(painted[..., None]), shape, classes)
    np.testing.assert_array_equal(by_runs.read(whole(shape)), by_pixels.read(whole(shape)))
    assert (by_runs.read(whole(shape)) == IGNORE).any()


def test_254_classes_leave_room_for_what_is_ignored():
    layers = [(number, (np.array([number]), np.array([1]))) for number in (1, 254, IGNORE)]
    read = RunLabels(layers, (256, 1), 254).read(whole((256, 1))).ravel()
    assert {place: int(read[place]) for place in np.flatnonzero(read)} == {1: 1, 254: 254, 255: IGNORE}
