import itertools
import json
from dataclasses import asdict

import nibabel
import numpy as np
import pytest

from data.patches.grid import Box
from data.sources.volume_grid import VolumeGrid, make_grid
from tests.volumes import ORDERS, oblique, phantom


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_voxels_come_in_the_order_of_a_second_reader_from_every_order_of_the_file(axes, flips):
    array, affine = phantom(), oblique(axes, flips)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, affine))
    expected = np.asarray(canonical.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1]  # right, anterior, superior to ours
    grid = make_grid(affine, array.shape)
    np.testing.assert_array_equal(grid.to_oriented(array), expected)
    np.testing.assert_array_equal(grid.to_file(expected), array)
    assert grid.oriented_shape == expected.shape


@pytest.mark.parametrize(("axes", "flips"), ORDERS[::5])
def test_a_voxel_has_one_place_in_the_patient_by_either_affine(axes, flips):
    array, affine = np.arange(7 * 9 * 11).reshape(7, 9, 11), oblique(axes, flips)
    grid = make_grid(affine, array.shape)
    oriented = grid.to_oriented(array)
    for corner in itertools.product(*((0, n - 1) for n in oriented.shape)):
        in_file = np.unravel_index(oriented[corner], array.shape)
        np.testing.assert_allclose(grid.oriented_affine @ [*corner, 1], affine @ [*in_file, 1])


@pytest.mark.parametrize(("axes", "flips"), ORDERS[::7])
def test_boxes_go_both_ways_and_hold_the_same_voxels(axes, flips):
    array = phantom()
    grid = make_grid(oblique(axes, flips), array.shape)
    box = Box((1, 2, 0), (2, 3, 4))
    in_file = grid.box_in_file(box)
    assert grid.box_oriented(in_file) == box
    np.testing.assert_array_equal(grid.to_oriented(array[in_file.slices]), grid.to_oriented(array)[box.slices])


def test_the_voxel_size_is_by_our_axes():
    grid = make_grid(oblique((1, 2, 0), (1, -1, 1), (0.5, 3.0, 0.7)), (4, 5, 6))
    assert grid.spacing_um == pytest.approx((3000, 500, 700))
    assert grid.oriented_shape == (5, 4, 6)


def test_a_grid_comes_back_from_json():
    grid = make_grid(oblique(), (4, 5, 6))
    values = json.loads(json.dumps(asdict(grid)))
    affine = tuple(map(tuple, values.pop("affine")))
    assert VolumeGrid(affine, **{name: tuple(value) for name, value in values.items()}) == grid


def test_the_same_place_in_another_order_is_no_distance_and_a_shift_is_its_length():
    affine = oblique()
    grid, array = make_grid(affine, (4, 5, 6)), nibabel.Nifti1Image(phantom((4, 5, 6)), affine)
    other = array.as_reoriented([[2, -1], [0, 1], [1, -1]])
    assert grid.farthest_mm(make_grid(other.affine, other.shape)) == pytest.approx(0, abs=1e-9)
    moved = affine.copy()
    moved[:3, 3] += (3, 0, 4)
    assert grid.farthest_mm(make_grid(moved, (4, 5, 6))) == pytest.approx(5)


def test_an_affine_that_is_no_place_is_refused():
    broken = oblique()
    broken[1, 3] = np.nan
    with pytest.raises(ValueError, match="has nan in its affine"):
        make_grid(broken, (4, 5, 6))
    flat = oblique()
    flat[:3, 1] = flat[:3, 0]
    for wrong in (flat, np.diag([1.0, 0, 1, 1])):
        with pytest.raises(ValueError, match="some axes of which are one"):
            make_grid(wrong, (4, 5, 6))
