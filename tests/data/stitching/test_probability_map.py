import numpy as np
import pytest
import zarr

from data.patches.grid import Box, blocks, whole
from data.sources.source import ArraySource, CroppedSource
from data.stitching.probability_map import (
    Frame,
    ProbabilityMap,
    copy_map,
    create_map,
    frame_of,
    open_map,
    strips,
)
from tests.maps import memory_map


def random_map(shape, channels=1, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (channels, *shape), np.uint8)
    return memory_map(values, [f"class{k}" for k in range(channels)])


@pytest.mark.parametrize("shape", [(37, 530), (5, 6, 7)])
def test_a_map_comes_back_from_disk_with_its_frame(tmp_path, shape):
    frame = Frame((1,) * len(shape), shape, tuple(n + 5 for n in shape), ("a", "b"), (0.5,) * len(shape))
    values = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    written = create_map(tmp_path / "map.zarr", shape, frame)
    for row in range(0, shape[0], 3):
        written.write(row, values[:, row : row + 3])
    found = open_map(tmp_path / "map.zarr")
    assert found.frame == frame
    assert found.shape == shape
    np.testing.assert_array_equal(found.read(whole(shape)), np.moveaxis(values, 0, -1))


def test_a_new_map_is_zero(tmp_path):
    made = create_map(tmp_path / "map.zarr", (9, 9), Frame((0, 0), (9, 9), (9, 9), ("a",)))
    assert not made.read(whole((9, 9))).any()
    assert made.pixel_um is None


def test_a_copy_is_equal_and_leaves_the_original_alone(tmp_path):
    original = random_map((1100, 3), 2)
    copy = copy_map(original, tmp_path / "copy.zarr")
    np.testing.assert_array_equal(copy.read(whole((1100, 3))), original.read(whole((1100, 3))))
    copy.write(0, np.zeros((2, 1, 3), np.uint8))
    assert original.read(Box((0, 0), (1, 3))).any()


def test_opening_something_else_names_the_folder(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.zarr is no probability map"):
        open_map(tmp_path / "nothing.zarr")
    zarr.create_array(store=str(tmp_path / "other.zarr"), shape=(3,), dtype="uint8")
    with pytest.raises(ValueError, match=r"other\.zarr is no probability map"):
        open_map(tmp_path / "other.zarr")


def test_the_pixel_size_follows_the_true_sizes_of_image_and_map():
    frame = Frame((0, 0), (101, 50), (101, 50), ("a",), (0.5, 0.25))
    assert ProbabilityMap(np.zeros((1, 25, 10), np.uint8), frame).pixel_um == (0.5 * 101 / 25, 0.25 * 5)


def test_strips_part_the_image_without_overlap():
    assert [box.start[0] for box in strips((10, 4), rows=4)] == [0, 4, 8]
    assert sum(np.prod(box.size) for box in strips((10, 4), rows=4)) == 40


@pytest.mark.parametrize("shape", [(120, 77), (31, 40), (13, 200)])
def test_a_view_read_by_regions_equals_the_view_read_whole(shape):
    view = random_map((31, 40), 2).on_image(shape)
    everything = view.read(whole(shape))
    for box in blocks(shape, (17, 23)):
        np.testing.assert_array_equal(view.read(box), everything[box.slices])


def test_a_view_of_a_volume_read_by_regions_equals_the_view_read_whole():
    view = random_map((5, 7, 9)).on_image((11, 14, 20))
    everything = view.read(whole((11, 14, 20)))
    for box in blocks((11, 14, 20), (4, 5, 20)):
        np.testing.assert_array_equal(view.read(box), everything[box.slices])


def test_a_view_at_the_maps_own_shape_is_the_map():
    probabilities = random_map((31, 40))
    found = probabilities.on_image((31, 40)).read(whole((31, 40)))
    np.testing.assert_array_equal(found, probabilities.read(whole((31, 40))))


@pytest.mark.parametrize(("own", "level0"), [(25, 101), (26, 103), (31, 31 * 4), (7, 50), (8, 31)])
def test_up_sampling_does_not_shift(own, level0):
    """A map that is its own mirror image stays so, and a ramp of cell centres stays a ramp of pixel centres."""
    distance = np.abs(np.arange(own) - (own - 1) / 2)
    bump = np.rint(255 * np.exp(-((distance / own * 4) ** 2))).astype(np.uint8)
    symmetric = memory_map(np.outer(bump, bump)[None] // 2 + 1, ["a"])
    frame = Frame((0, 0), (level0, level0), (level0, level0), ("a",))
    found = ProbabilityMap(symmetric.array, frame).on_image((level0, level0)).read(whole((level0, level0)))[..., 0]
    np.testing.assert_array_equal(found, found[::-1])
    np.testing.assert_array_equal(found, found[:, ::-1])
    ramp = np.broadcast_to(np.arange(own, dtype=np.uint8) * 8, (1, 3, own))
    found = ProbabilityMap(ramp, Frame((0, 0), (3, level0), (3, level0), ("a",))).on_image((3, level0))
    centres = ((np.arange(level0) + 0.5) * own / level0 - 0.5).clip(0, own - 1) * 8
    assert np.abs(found.read(whole((3, level0)))[..., 0] - centres).max() <= 0.5 + 1e-4


def test_a_crop_is_put_back_at_its_place_with_zeros_outside():
    crop = CroppedSource(ArraySource(np.zeros((30, 50, 3), np.uint8), (0.5, 0.5)), Box((4, 10), (12, 20)))
    frame = frame_of(crop, ["a"])
    assert (frame.start_level0, frame.size_level0, frame.shape_level0) == ((4, 10), (12, 20), (30, 50))
    values = np.random.default_rng(0).integers(1, 256, (1, 12, 20), np.uint8)
    view = ProbabilityMap(values, frame).on_image((30, 50))
    found = view.read(whole((30, 50)))[..., 0]
    np.testing.assert_array_equal(found[4:16, 10:30], values[0])
    assert np.count_nonzero(found) == 12 * 20
    for box in blocks((30, 50), (7, 11)):
        np.testing.assert_array_equal(view.read(box)[..., 0], found[box.slices])
    np.testing.assert_array_equal(
        ProbabilityMap(values, frame).on_frame((12, 20)).read(whole((12, 20))), values[0, ..., None]
    )


def test_a_crop_on_a_smaller_copy_stays_inside_and_in_proportion():
    frame = Frame((3, 0), (7, 10), (10, 10), ("a",))
    view = ProbabilityMap(np.full((1, 7, 10), 255, np.uint8), frame).on_image((5, 5))
    found = view.read(whole((5, 5)))[..., 0]
    assert view.covered.stop == (5, 5)
    assert (found[2:] == 255).all()
    assert (found[0] == 0).all()


def test_down_sampling_averages_areas():
    values = np.array([[[0, 100, 200, 100], [100, 0, 0, 200]]], np.uint8)
    found = memory_map(values, ["a"]).on_image((1, 2)).read(whole((1, 2)))
    assert found[..., 0].tolist() == [[50, 125]]


def test_any_file_name_may_name_a_map(tmp_path):
    for name in ("a::b", "cost$_$x", "a b,c", "ключ"):
        made = create_map(tmp_path / f"{name}.zarr", (8, 8), Frame((0, 0), (8, 8), (8, 8), ("a",)))
        made.write(0, np.full((1, 8, 8), 7, np.uint8))
        assert (open_map(tmp_path / f"{name}.zarr").read(whole((8, 8))) == 7).all()
