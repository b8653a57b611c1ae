import numpy as np
import pytest
from scipy import ndimage

from data.stitching.components import PieceCounts, StripComponents


def label_by_strips(mask, rows, faces_only):
    numbering = StripComponents(faces_only)
    numbers = np.concatenate([numbering.add(mask[row : row + rows]) for row in range(0, len(mask), rows)])
    return numbering.merged()[numbers]


def reference(mask, faces_only):
    return ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, 1 if faces_only else mask.ndim))[0]


def canonical(labels):
    """Labels renumbered by their first cell in C order, background 0."""
    flat = labels.ravel()
    values, first = np.unique(flat[flat > 0], return_index=True)
    table = np.zeros(flat.max(initial=0) + 1, int)
    table[values[np.argsort(first)]] = np.arange(1, len(values) + 1)
    return table[labels]


@pytest.mark.parametrize("faces_only", [True, False])
@pytest.mark.parametrize("shape", [(12, 15), (6, 7, 8), (15, 1), (1, 15)])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_components_of_strips_equal_those_of_the_whole(faces_only, shape, share):
    for seed in range(3):
        mask = np.random.default_rng(seed).random(shape) < share
        wanted = reference(mask, faces_only)
        for rows in range(1, shape[0] + 2):
            found = label_by_strips(mask, rows, faces_only)
            np.testing.assert_array_equal(canonical(found), canonical(wanted))
            assert found.max(initial=0) == wanted.max(initial=0)
            np.testing.assert_array_equal(found, canonical(found))  # the promised order: of their first cell


def test_two_arms_that_meet_only_at_the_last_row_are_one():
    mask = np.zeros((7, 5), bool)
    mask[:, 0] = mask[:, 4] = mask[6] = True
    assert set(np.unique(label_by_strips(mask, 2, True))) == {0, 1}


@pytest.mark.parametrize(("faces_only", "count"), [(True, 2), (False, 1)])
def test_corners_across_a_border_of_strips_join_only_where_asked(faces_only, count):
    mask = np.array([[1, 0], [0, 1]], bool)
    assert label_by_strips(mask, 1, faces_only).max() == count


def test_an_empty_mask_has_no_components():
    numbering = StripComponents()
    assert not numbering.add(np.zeros((3, 4), bool)).any()
    assert numbering.merged().tolist() == [0]


@pytest.mark.parametrize("faces_only", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_cells_and_marks_of_each_component_are_counted(faces_only, rows):
    mask, marks = np.random.default_rng(1).random((2, 17, 15)) < 0.4
    pieces = PieceCounts(faces_only)
    for row in range(0, 17, rows):
        pieces.add(mask[row : row + rows], marks[row : row + rows])
    (area, marked), component = pieces.finish()
    labels = canonical(reference(mask, faces_only))
    assert component.max() == labels.max()
    assert area.tolist() == [0, *np.bincount(labels.ravel())[1:]]
    assert marked.tolist() == [0, *np.bincount(labels[marks], minlength=labels.max() + 1)[1:]]
