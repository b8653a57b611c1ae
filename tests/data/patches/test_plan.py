import itertools

import numpy as np
import pytest

from data.patches.plan import SMALLEST, UNIT, plan_patches


def blob(cells, seed=0):
    """A few discs of tissue on a square picture."""
    random, rows, columns = np.random.default_rng(seed), *np.mgrid[:cells, :cells]
    discs = (np.hypot(rows - r, columns - c) < cells / 8 for r, c in random.integers(0, cells, (4, 2)))
    return np.logical_or.reduce(list(discs))


def covered(plan):
    found = np.zeros(plan.shape, bool)
    for box in plan:
        found[box.within(plan.shape).slices] = True
    return found


def stretched(cells, shape):
    for axis, length in enumerate(shape):
        cells = cells.take(np.arange(length) * cells.shape[axis] // length, axis)
    return cells


SHAPES = [(2000, 2600), (769, 31), (1, 1), (100, 3000), (70, 300, 90), (5000,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("largest", "overlap"), [(256, 0), (256, 64), (768, 100), (64, 48), (32, 0)])
def test_all_of_an_image_is_covered(shape, largest, overlap):
    assert covered(plan_patches(shape, largest, overlap)).all()


@pytest.mark.parametrize("seed", range(5))
def test_tissue_and_its_rim_are_covered(seed):
    cells = blob(100, seed)
    plan = plan_patches((2503, 2599), 512, 64, cells, rim_px=16)
    tissue = stretched(cells, plan.shape)
    found = covered(plan)
    for down, right in itertools.product((-16, 0, 16), repeat=2):
        assert found[np.roll(tissue, (down, right), (0, 1)) & tissue].all()
    edges = np.argwhere(tissue)[::997]
    for row, column in edges:
        assert found[max(0, row - 16) : row + 17, max(0, column - 16) : column + 17].all()


@pytest.mark.parametrize("shape", SHAPES)
def test_sides_and_starts_lie_on_one_raster_and_starts_along_the_first_axis_never_decrease(shape):
    plan = plan_patches(shape, 512, 64, np.random.default_rng(0).random((13,) * len(shape)) > 0.5)
    starts = [box.start[0] for box in plan]
    assert starts == sorted(starts)
    for box in plan:
        assert all(a % UNIT == 0 and 0 < n <= 512 and n % UNIT == 0 for a, n in zip(box.start, box.size, strict=True))
        assert all(b < n + UNIT for b, n in zip(box.stop, shape, strict=True))


@pytest.mark.parametrize(("length", "largest", "overlap"), [(5000, 512, 64), (4096, 768, 33), (1000, 96, 32)])
def test_neighbours_share_at_least_the_overlap(length, largest, overlap):
    boxes = plan_patches((length,), largest, overlap).boxes
    for left, right in itertools.pairwise(boxes):
        assert left.stop[0] - right.start[0] >= overlap


def test_glass_has_no_patch():
    plan = plan_patches((4000, 4000), 512, 64, np.zeros((100, 100), bool), rim_px=16)
    assert len(plan) == plan.pixels == 0


def test_two_far_pieces_of_tissue_are_not_joined():
    cells = np.zeros((1, 100), bool)
    cells[0, [2, 97]] = True
    plan = plan_patches((256, 10_000), 512, 64, cells)
    assert len(plan) == 2
    assert plan.pixels <= 2 * SMALLEST * 288


def test_a_disc_of_tissue_costs_little_more_than_its_pixels():
    rows, columns = np.mgrid[:1024, :1024] + 0.5
    cells = np.hypot(rows - 512, columns - 512) < 0.4 * 1024
    plan = plan_patches((4096, 4096), 768, 64, cells, rim_px=16)
    assert plan.pixels < 1.45 * cells.sum() * 16
    fixed = plan_patches((4096, 4096), 768, 64)
    assert plan.pixels < 0.7 * fixed.pixels


def test_a_small_piece_gets_a_patch_with_something_around_it():
    cells = np.zeros((50, 50), bool)
    cells[25, 25] = True
    (box,) = plan_patches((2000, 2000), 768, 64, cells)
    assert box.size == (SMALLEST, SMALLEST)
    assert box.start[0] < 1000 < box.stop[0] - 32


def test_the_same_tissue_gives_the_same_plan():
    assert plan_patches((3000, 3000), 768, 64, blob(64)) == plan_patches((3000, 3000), 768, 64, blob(64))
