import numpy as np
import pytest

from data.patches.grid import Box, whole
from data.patches.slices import SliceSample
from data.sources.source import ArraySource
from data.stitching.by_slice import SliceBySlice, slice_grid
from data.stitching.case import Inference, OpenedCase
from tests.small_volumes import Volumes, case_of, intensities


class Reader(Volumes):
    """A reader of one image alone."""

    def open_image(self, case):
        return ArraySource(self.pairs[case.id][0])


def volume(*shape):
    image = intensities(*shape)
    return Reader({"v": (np.repeat(image, 3, -1), (image[..., 0] > 128).astype(np.uint8))})


def test_slices_are_covered_by_patches_one_voxel_deep_on_the_raster_of_networks():
    assert list(slice_grid((2, 50, 64), 640, 64)) == [Box((0, 0, 0), (1, 64, 64)), Box((1, 0, 0), (1, 64, 64))]
    boxes = list(slice_grid((3, 100, 40), 64, 16))
    assert {box.size for box in boxes} == {(1, 64, 64)}
    assert [box.start for box in boxes if box.start[0] == 2] == [(2, 0, 0), (2, 36, 0)]


def test_a_sample_is_a_slice_as_a_picture():
    reader = volume(4, 32, 32)
    image, classes = reader.pairs["v"]
    sample = SliceSample("v_2", case_of("v"), Box((2, 0, 0), (1, 32, 32)), (4, 32, 32), reader)
    pixels, mask = sample.read()
    np.testing.assert_array_equal(pixels, image[2])
    np.testing.assert_array_equal(mask, classes[2])
    np.testing.assert_array_equal(sample.read_mask(), classes[2])


@pytest.mark.parametrize("shape", [(5, 64, 64), (4, 40, 100)])
def test_a_volume_is_predicted_slice_by_slice_by_a_network_of_pictures(tmp_path, shape):
    reader, seen = volume(*shape), []

    def predict(patches):
        seen.append(patches.shape)
        return patches[:, :1] / np.float32(255)

    from data.patches.scale import Scale

    inference = Inference(Scale(1.0), patch_px=64, overlap_px=16, batch_size=2, axes=2)
    with OpenedCase(case_of("v"), reader, inference, tmp_path) as opened:
        found = opened.predict(predict, tmp_path / "v.zarr")
    assert {len(each) for each in seen} == {4}
    np.testing.assert_allclose(found.read(whole(shape))[..., 0], reader.pairs["v"][0][..., 0], atol=1.01)


def test_as_many_calls_may_run_side_by_side_as_of_the_network_itself():
    def predict(patches):
        return patches

    assert SliceBySlice(predict).at_once == 1
    predict.at_once = 2
    assert SliceBySlice(predict).at_once == 2
