import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rasterio.features import shapes
from shapely.geometry import Polygon

from data.stitching.outlines import Outlines
from data.stitching.runs import Strip

MASKS = npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


def find_rings(mask, rows):
    """The rings of a mask (row, column) given so many rows at a time, the empty row below it included."""
    padded, outlines = np.pad(np.array(mask, np.uint8), 1), Outlines()
    strips = (Strip(padded[row : row + rows + 1], row) for row in range(0, len(padded) - 1, rows))
    rings = [ring for strip in strips for ring in outlines.add(strip)]
    assert not outlines._open
    return rings


def listed(rings):
    return sorted((ring.is_hole, ring.corners.tolist()) for ring in rings)


@pytest.mark.parametrize("rows", [1, 2, 10])
@pytest.mark.parametrize(
    ("mask", "outer", "holes"),
    [
        ([[1]], [[[0, 0], [0, 1], [1, 1], [1, 0]]], []),
        ([[0, 1], [1, 1]], [[[0, 1], [0, 2], [2, 2], [2, 0], [1, 0], [1, 1]]], []),
        ([[1, 2]], [[[0, 0], [0, 1], [1, 1], [1, 0]], [[0, 1], [0, 2], [1, 2], [1, 1]]], []),
        (
            [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
            [[[0, 0], [0, 3], [3, 3], [3, 0]]],
            [[[1, 1], [2, 1], [2, 2], [1, 2]]],
        ),
        # pixels that meet at a corner have rings of their own
        ([[1, 0], [0, 1]], [[[0, 0], [0, 1], [1, 1], [1, 0]], [[1, 1], [1, 2], [2, 2], [2, 1]]], []),
        # an outline that comes back to a corner is parted there
        (
            [[1, 1, 1], [1, 0, 1], [1, 1, 0]],
            [[[0, 0], [0, 3], [2, 3], [2, 2], [3, 2], [3, 0]]],
            [[[1, 1], [2, 1], [2, 2], [1, 2]]],
        ),
    ],
)
def test_rings_by_hand(mask, outer, holes, rows):
    assert listed(find_rings(mask, rows)) == sorted(
        [(False, ring) for ring in outer] + [(True, ring) for ring in holes]
    )


@settings(deadline=None, max_examples=150)
@given(MASKS)
def test_strips_of_every_height_give_the_same_rings(mask):
    wanted = listed(find_rings(mask, len(mask) + 1))
    for rows in range(1, len(mask) + 1):
        assert listed(find_rings(mask, rows)) == wanted


@settings(deadline=None, max_examples=150)
@given(MASKS)
def test_no_ring_meets_itself_and_another_tracer_finds_as_many(mask):
    rings = find_rings(mask, 3)
    theirs = [shape["coordinates"] for shape, _ in shapes(mask, mask > 0, connectivity=4)]
    assert sum(not ring.is_hole for ring in rings) == len(theirs)
    assert sum(ring.is_hole for ring in rings) == sum(len(each) - 1 for each in theirs)
    for ring in rings:
        corners = ring.corners.tolist()
        assert len(set(map(tuple, corners))) == len(corners)
        assert corners[0] == min(corners)
        assert Polygon(corners).is_valid
    assert sum((1 - 2 * ring.is_hole) * Polygon(ring.corners).area for ring in rings) == np.count_nonzero(mask)


def test_a_ring_turns_at_each_of_its_corners():
    mask = np.random.default_rng(0).random((20, 20)) < 0.6
    for ring in find_rings(mask, 4):
        steps = np.diff(np.vstack([ring.corners, ring.corners[:1]]), axis=0)
        assert ((steps == 0).sum(1) == 1).all()
        along_row = steps[:, 0] == 0
        assert (along_row != np.roll(along_row, 1)).all()


def test_an_outline_as_long_as_the_mask_is_deep_is_followed():
    mask = np.zeros((3000, 9), np.uint8)
    mask[:, ::2] = 1
    mask[-1] = 1
    (ring,) = find_rings(mask, 1)
    assert len(ring.corners) == 4 * 5
