from itertools import pairwise, product

import numpy as np
import pytest

from data.patches.grid import Box, Grid, Windows, blocks, scale_box, whole

GRIDS = [
    Grid(shape, patch, overlap)
    for shape, patch, overlap in [
        ((100,), (32,), (0,)),
        ((97,), (32,), (31,)),
        ((64,), (32,), (0,)),
        ((65,), (32,), (0,)),
        ((33,), (32,), (16,)),
        ((32,), (32,), (8,)),
        ((1,), (1,), (0,)),
        ((101, 67), (32, 16), (5, 0)),
        ((40, 300), (64, 64), (8, 8)),
        ((23, 19, 31), (8, 19, 12), (2, 3, 5)),
    ]
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_patches_cover_every_cell_and_stay_inside(grid):
    hits = np.zeros(grid.shape, int)
    for box in grid:
        assert box.size == grid.patch
        assert all(b <= max(n, p) for b, n, p in zip(box.stop, grid.shape, grid.patch, strict=True))
        hits[box.within(grid.shape).slices] += 1
    assert hits.min() >= 1


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_last_patch_ends_exactly_at_the_edge_and_the_first_at_zero(grid):
    for axis, (n, p) in enumerate(zip(grid.shape, grid.patch, strict=True)):
        starts = grid.starts(axis)
        assert starts[0] == 0
        assert starts[-1] == max(n - p, 0)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_neighbours_share_at_least_the_overlap_evenly_and_no_patch_is_wasted(grid):
    for axis, (n, p, o) in enumerate(zip(grid.shape, grid.patch, grid.overlap_px, strict=True)):
        starts = grid.starts(axis)
        steps = [b - a for a, b in pairwise(starts)]
        assert all(0 < step <= p - o for step in steps)
        assert max(steps, default=0) - min(steps, default=0) <= 1
        assert (len(starts) - 2) * (p - o) + p < n or len(starts) == 1  # one fewer would not reach the edge


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_length_and_order_are_those_of_the_product_of_the_axes(grid):
    boxes = list(grid)
    assert len(boxes) == len(grid)
    every = product(*(grid.starts(axis) for axis in range(len(grid.shape))))
    assert [box.start for box in boxes] == list(every)


def test_starts_by_hand():
    assert Grid((100,), (32,), (0,)).starts(0) == [0, 22, 45, 68]
    assert Grid((10,), (4,), (1,)).starts(0) == [0, 3, 6]


def test_a_source_smaller_than_the_patch_has_one_patch_that_reaches_past_it():
    assert list(Grid((20, 70), (32, 32), (0, 0))) == [
        Box((0, 0), (32, 32)),
        Box((0, 19), (32, 32)),
        Box((0, 38), (32, 32)),
    ]


@pytest.mark.parametrize("overlap", [(4, -1), (32, 0), (0, 40)])
def test_an_overlap_that_never_advances_is_refused(overlap):
    with pytest.raises(ValueError, match="overlap"):
        Grid((100, 100), (32, 32), overlap)


def test_axes_that_differ_are_refused():
    with pytest.raises(ValueError, match="axes differ"):
        Grid((100, 100), (32, 32), (0,))


def test_a_box_indexes_its_cells():
    image = np.arange(20).reshape(4, 5)
    box = Box((1, 2), (2, 3))
    assert box.stop == (3, 5)
    assert image[box.slices].tolist() == [[7, 8, 9], [12, 13, 14]]
    assert image[whole(image.shape).slices].shape == (4, 5)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box((-2, 1), (4, 2)), Box((0, 1), (2, 2))),
        (Box((2, 3), (9, 9)), Box((2, 3), (2, 2))),
        (Box((1, 1), (2, 2)), Box((1, 1), (2, 2))),
        (Box((9, 0), (2, 2)), Box((4, 0), (0, 2))),
        (Box((-9, 0), (2, 2)), Box((0, 0), (0, 2))),
    ],
)
def test_the_part_inside_an_image_is_cut_on_both_sides(box, inside):
    assert box.within((4, 5)) == inside


def test_shifting_back_gives_the_box_again():
    box = Box((3, 4, 5), (2, 2, 2))
    assert box.shifted((1, -2, 7)).shifted((-1, 2, -7)) == box


@pytest.mark.parametrize("shape_from", [(101, 67), (1000, 999), (17, 5)])
@pytest.mark.parametrize("shape_to", [(25, 17), (250, 249), (303, 201), (1, 1)])
def test_scaling_a_box_covers_it_and_back_again_loses_nothing(shape_from, shape_to):
    rng = np.random.default_rng(0)
    for _ in range(50):
        start = tuple(int(rng.integers(0, n)) for n in shape_from)
        box = Box(start, tuple(int(rng.integers(1, n - a + 1)) for a, n in zip(start, shape_from, strict=True)))
        there = scale_box(box, shape_from, shape_to)
        assert there.within(shape_to) == there
        assert min(there.size) >= 1
        for a, b, c, d, n, m in zip(box.start, box.stop, there.start, there.stop, shape_from, shape_to, strict=True):
            assert c * n <= a * m < (c + 1) * n  # c is the cell that holds the place a
            assert (d - 1) * n < b * m <= d * n
        back = scale_box(there, shape_to, shape_from)
        assert all(a <= b for a, b in zip(back.start, box.start, strict=True))
        assert all(a >= b for a, b in zip(back.stop, box.stop, strict=True))


@pytest.mark.parametrize("shape", [(3001, 2777), (3072, 2048), (1, 5)])
def test_the_whole_image_is_the_whole_image_at_any_shape(shape):
    for reduction in (1, 3, 4, 7.3):
        small = tuple(max(1, round(n / reduction)) for n in shape)
        assert scale_box(whole(shape), shape, small) == whole(small)
        assert scale_box(whole(small), small, shape) == whole(shape)


def test_up_and_down_again_is_exact_on_odd_sizes():
    small, large = (751, 333), (3001, 1333)
    for row in (0, 1, 350, 750):
        box = Box((row, 0), (1, 333))
        again = scale_box(scale_box(box, small, large), large, small)
        assert again.start[0] <= row < again.stop[0]
        assert again.size[0] <= 3  # its own cell and at most the two that share a pixel with it


def test_equal_shapes_leave_a_box_alone():
    box = Box((3, 4), (5, 6))
    assert scale_box(box, (50, 60), (50, 60)) == box


@pytest.mark.parametrize(("shape", "size"), [((10,), (4,)), ((7, 9), (7, 2)), ((5, 6, 7), (2, 6, 3)), ((3, 3), (8, 8))])
def test_blocks_part_an_image_without_overlap(shape, size):
    hits = np.zeros(shape, int)
    for box in blocks(shape, size):
        hits[box.slices] += 1
    assert (hits == 1).all()


@pytest.mark.parametrize(
    ("shape", "patch", "overlap", "starts"),
    [
        ((100,), (20,), (0,), [10, 30, 50, 70]),
        ((100,), (40,), (10,), [15, 45]),  # of 0, 30, 60
        ((50, 20), (20, 20), (0, 0), [(7, 0), (22, 0)]),  # of 0, 15, 30; one column
        ((20, 20), (20, 20), (0, 0), []),
        ((10,), (20,), (0,), []),
    ],
)
def test_a_second_grid_lies_half_a_step_from_the_first(shape, patch, overlap, starts):
    found = [box.start for box in Grid(shape, patch, overlap).between()]
    assert found == [start if isinstance(start, tuple) else (start,) for start in starts]


def test_a_second_grid_lies_inside_in_three_axes_and_in_order():
    grid = Grid((33, 50, 41), (16, 20, 20), (3, 0, 5))
    boxes = list(grid.between())
    assert all(box == box.within(grid.shape) and box.size == grid.patch for box in boxes)
    assert boxes == sorted(boxes, key=lambda box: box.start)
    assert len(boxes) == np.prod([len(grid.starts(axis)) - 1 for axis in range(3)])


def test_windows_slide_over_an_image_with_the_overlap_that_is_asked_for():
    assert Windows((48, 96, 96), overlap=0.75).over((60, 300, 96)) == Grid(
        (60, 300, 96), (48, 96, 96), (36, 72, 72), centred=True
    )
    assert Windows((8, 8), (2, 7)).over((30, 30)) == Grid((30, 30), (8, 8), (2, 7), centred=True)


def test_without_sides_one_window_holds_the_image_and_can_be_halved():
    grid = Windows().over((35, 51, 32))
    assert list(grid) == [Box((-3, -3, 0), (40, 56, 32))]


def test_a_small_image_lies_in_the_middle_of_its_window():
    assert list(Windows((8, 8), (0, 0)).over((3, 12))) == [Box((-3, 0), (8, 8)), Box((-3, 4), (8, 8))]
    assert list(Grid((3, 12), (8, 8), (0, 0))) == [Box((0, 0), (8, 8)), Box((0, 4), (8, 8))]
