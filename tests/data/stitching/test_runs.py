import numpy as np
import pytest

from data.stitching.runs import Strip, find_runs


def strip_of(rows, above=None):
    rows = np.array(rows, np.uint8)
    above = np.zeros_like(rows[:1]) if above is None else np.array([above], np.uint8)
    return Strip(np.pad(np.concatenate([above, rows]), ((0, 0), (1, 1))), 0)


def listed(runs):
    return list(zip(runs.rows.tolist(), runs.starts.tolist(), runs.stops.tolist(), runs.classes.tolist(), strict=True))


def test_runs_by_hand():
    runs = find_runs(strip_of([[1, 1, 0, 2], [0, 3, 3, 3]], above=[0, 0, 0, 2]))
    assert listed(runs) == [(0, 3, 4, 2), (1, 0, 2, 1), (1, 3, 4, 2), (2, 1, 4, 3)]
    assert runs.at(np.array([3, 5, 6, 8, 11, 13]), 5).tolist() == [0, 1, 1, 2, 3, 3]


def test_an_empty_strip_has_no_runs():
    runs = find_runs(strip_of(np.zeros((3, 4))))
    assert listed(runs) == []
    assert [pairs.shape for pairs in runs.touching(5)] == [(2, 0), (2, 0)]


@pytest.mark.parametrize(
    ("rows", "faces", "corners"),
    [
        ([[1, 1, 0], [0, 1, 1]], [(0, 1)], []),
        ([[1, 0, 0], [0, 1, 0]], [], [(0, 1)]),
        ([[0, 1, 0], [1, 0, 1]], [], [(0, 1), (0, 2)]),
        ([[1, 0, 0], [0, 0, 1]], [], []),
        ([[1, 1, 1], [2, 2, 2]], [], []),
        ([[1, 2, 1], [1, 1, 1]], [(0, 3), (2, 3)], []),
        ([[0, 0, 1], [1, 0, 0]], [], []),  # the end of a row and the start of the next
    ],
)
def test_runs_of_one_class_touch_over_faces_or_corners(rows, faces, corners):
    found = find_runs(strip_of(rows)).touching(4)
    assert [list(map(tuple, pairs.T.tolist())) for pairs in found] == [faces, corners]
