import numpy as np
import pytest

from data.patches.grid import Box, Grid, Windows
from data.stitching.stitcher import SLOPES, Stitcher, blend_weights, gaussian


def collect(shape, channels):
    rows = np.zeros((channels, *shape), np.uint8)

    def write(row, part):
        rows[:, row : row + part.shape[1]] = part

    return rows, write


def stitch(grid, values, keep=lambda box: True):
    """`values` (K, *shape) float: what every patch predicts where it lies inside the image, 0.5 outside."""
    rows, write = collect(grid.shape, len(values))
    stitcher = Stitcher(grid.shape, len(values), grid.patch[0], grid.overlap_px, write)
    for box in grid:
        if keep(box):
            inside = box.within(grid.shape)
            patch = np.full((len(values), *box.size), 0.5, np.float32)
            patch[(slice(None), *(slice(0, n) for n in inside.size))] = values[(slice(None), *inside.slices)]
            stitcher.add(box, patch)
    stitcher.finish()
    return rows


@pytest.mark.parametrize(("patch", "overlap"), [((8,), (0,)), ((8,), (7,)), ((7, 9), (2, 4)), ((4, 6, 5), (1, 0, 3))])
def test_blend_weights_are_positive_at_most_one_and_symmetric(patch, overlap):
    weights = blend_weights(patch, overlap)
    assert weights.shape == patch
    assert weights.dtype == np.float32
    assert weights.min() > 0
    assert weights.max() <= 1
    for axis in range(len(patch)):
        np.testing.assert_array_equal(weights, np.flip(weights, axis))


@pytest.mark.parametrize("patch", [(8,), (7, 9), (4, 6, 5)])
def test_gaussian_weights_fall_from_the_middle_whatever_the_overlap(patch):
    weights = blend_weights(patch, (0,) * len(patch), slope=gaussian)
    np.testing.assert_array_equal(weights, blend_weights(patch, (1,) * len(patch), slope=gaussian))
    grids = np.meshgrid(*((np.arange(n) - (n - 1) / 2) / (n / 8) for n in patch), indexing="ij")
    np.testing.assert_allclose(weights, np.exp(-sum(grid**2 for grid in grids) / 2), rtol=1e-5)
    assert weights.dtype == np.float32
    assert weights.min() > 0


def test_slopes_of_two_neighbours_add_up_to_one():
    weights = blend_weights((8,), (3,))
    np.testing.assert_allclose(weights, [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(weights[:3] + weights[-3:], 1)


SHAPES = [
    ((40, 40), (16, 16), (4, 4)),
    ((37, 53), (16, 16), (5, 0)),
    ((7, 53), (16, 16), (8, 8)),  # shorter than a patch along the rows
    ((53, 5), (16, 16), (3, 3)),
    ((3, 4), (16, 16), (0, 0)),
    ((1, 1), (16, 16), (15, 15)),
    ((17, 16), (16, 16), (15, 15)),
    ((9, 11, 13), (4, 6, 8), (1, 2, 3)),
    ((3, 20, 9), (8, 8, 8), (4, 0, 7)),
    ((29,), (8,), (2,)),
]


@pytest.mark.parametrize(("shape", "patch", "overlap"), SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_patches_that_agree_are_stitched_to_what_they_say(shape, patch, overlap, channels):
    wanted = np.random.default_rng(0).integers(0, 256, (channels, *shape)).astype(np.uint8)
    found = stitch(Grid(shape, patch, overlap), wanted.astype(np.float32) / 255)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("shape", "patch", "overlap"), SHAPES)
def test_blending_equals_the_weighted_mean_over_the_whole_image(shape, patch, overlap):
    grid, random = Grid(shape, patch, overlap), np.random.default_rng(1)
    weights = blend_weights(patch, overlap)
    rows, write = collect(shape, 2)
    stitcher = Stitcher(shape, 2, patch[0], overlap, write)
    sums, total = np.zeros((2, *shape)), np.zeros(shape)
    for box in grid:
        prediction = random.random((2, *patch)).astype(np.float32)
        stitcher.add(box, prediction)
        inside = box.within(shape)
        own = tuple(slice(0, n) for n in inside.size)
        sums[(slice(None), *inside.slices)] += prediction[(slice(None), *own)] * weights[own]
        total[inside.slices] += weights[own]
    stitcher.finish()
    assert np.abs(rows - 255 * sums / total).max() < 0.5 + 1e-3


def test_an_unpredicted_patch_is_not_averaged_as_zero():
    grid = Grid((12, 40), (12, 16), (0, 4))
    found = stitch(grid, np.full((1, 12, 40), 0.8, np.float32), keep=lambda box: box.start[1] == 12)
    assert grid.starts(1) == [0, 12, 24]
    assert (found[0, :, 12:28] == 204).all()
    assert (found[0, :, :12] == 0).all()
    assert (found[0, :, 28:] == 0).all()


def test_rows_of_skipped_patches_between_predicted_ones_are_zero():
    grid = Grid((60, 10), (10, 10), (0, 0))
    found = stitch(grid, np.ones((1, 60, 10), np.float32), keep=lambda box: box.start[0] in (0, 50))
    assert (found[0, :10] == 255).all()
    assert (found[0, 10:50] == 0).all()
    assert (found[0, 50:] == 255).all()


def test_rows_come_once_in_order_and_memory_holds_one_patch_of_rows():
    written = []
    stitcher = Stitcher((100, 6), 1, 10, (5, 0), lambda row, rows: written.append((row, rows.shape[1])))
    for box in Grid((100, 6), (10, 6), (5, 0)):
        stitcher.add(box, np.ones((1, 10, 6), np.float32))
        assert stitcher._sums.shape == (1, 10, 6)
    stitcher.finish()
    assert [row for row, _ in written] == list(np.cumsum([0, *(n for _, n in written)]))[:-1]
    assert sum(n for _, n in written) == 100


def test_nothing_predicted_writes_nothing():
    stitcher = Stitcher((30, 30), 1, 8, (2, 2), lambda row, rows: pytest.fail("wrote rows"))
    stitcher.finish()


def test_a_patch_that_comes_too_late_is_our_own_mistake():
    stitcher = Stitcher((30, 8), 1, 8, (0, 0), lambda row, rows: None)
    stitcher.add(Box((8, 0), (8, 8)), np.ones((1, 8, 8), np.float32))
    with pytest.raises(AssertionError, match="comes after row 8"):
        stitcher.add(Box((0, 0), (8, 8)), np.ones((1, 8, 8), np.float32))


def test_boxes_of_many_sizes_are_blended_by_the_weights_of_each():
    boxes = [Box((0, 0), (8, 10)), Box((0, 6), (6, 14)), Box((2, 0), (8, 20)), Box((7, 5), (5, 15))]
    random = np.random.default_rng(2)
    rows, write = collect((12, 20), 1)
    stitcher = Stitcher((12, 20), 1, 8, (3, 3), write)
    sums, total = np.zeros((1, 12, 20)), np.zeros((12, 20))
    for box in boxes:
        prediction = random.random((1, *box.size)).astype(np.float32)
        stitcher.add(box, prediction)
        weights = blend_weights(box.size, (3, 3))
        sums[(slice(None), *box.slices)] += prediction * weights
        total[box.slices] += weights
    stitcher.finish()
    wanted = 255 * sums / np.where(total, total, 1)
    assert np.abs(rows - wanted).max() < 0.5 + 1e-3


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("patch", [(4, 6, 8), (9, 4, 5), (16, 16, 16)])
def test_what_all_patches_agree_on_comes_back_whatever_the_weights(name, patch):
    shape = (9, 11, 13)
    grid = Windows(patch, overlap=0.75).over(shape)
    values = np.random.default_rng(5).integers(0, 256, (2, *shape)) / np.float32(255)
    rows, write = collect(shape, 2)
    stitcher = Stitcher(shape, 2, patch[0], grid.overlap_px, write, SLOPES[name])
    for box in grid:
        inside = box.within(shape)
        own = np.zeros((2, *box.size), np.float32)
        own[(slice(None), *inside.seen_from(box.start).slices)] = values[(slice(None), *inside.slices)]
        stitcher.add(box, own)
    stitcher.finish()
    np.testing.assert_array_equal(rows, np.rint(255 * values))
