import nibabel
import numpy as np
import pytest

from data.cases import Case
from data.patches.grid import Box, whole
from data.patches.tiles import padded_mask
from data.sources import ScaledSource, SourceError, open_source
from data.sources.intensity import IntensityRule
from data.sources.labels import IGNORE, ScaledLabels
from data.sources.opening import build_reader
from data.sources.volume import VolumeSource
from data.stitching.probability_map import create_map, frame_of, open_map
from tests.slides import make_cfg
from tests.volumes import oblique, phantom, write_nifti

WINDOW = IntensityRule("window", (-1000.0, 1000.0))


def options(**more):
    return {"INPUT_INTENSITY": "window", "INPUT_WINDOW": [-1000, 1000], "MODEL_IN_CHANNELS": 1} | more


@pytest.fixture
def case(tmp_path):
    """A volume, and its mask in a file of another order of axes."""
    affine = oblique((2, 0, 1), (-1, 1, 1))
    write_nifti(tmp_path / "a.nii.gz", phantom(), affine)
    mask = nibabel.as_closest_canonical(nibabel.Nifti1Image((phantom() > 300).astype(np.uint8), affine))
    nibabel.save(mask, tmp_path / "mask.nii.gz")
    return Case("a", tmp_path / "a.nii.gz", tmp_path / "mask.nii.gz")


def test_a_volume_is_an_image_of_three_axes_with_float_pixels(case):
    with open_source(case.image, WINDOW) as source:
        assert (source.shape, source.channels, source.dtype) == (source.grid.oriented_shape, 1, np.float32)
        assert source.spacing_um == (1000, 2500, 1500)
        pixels = source.read(whole(source.shape))
        expected = (source.grid.to_oriented(phantom()).astype(np.float64) + 1000) / 2000 * 255
        np.testing.assert_allclose(pixels[..., 0], expected, atol=1e-3)
        assert pixels.dtype == np.float32
        assert pixels.max() <= 255


def test_bytes_are_pixels_without_a_rule(tmp_path):
    array = (phantom() % 256).astype(np.uint8)
    with open_source(write_nifti(tmp_path / "a.nii", array)) as source:
        assert source.dtype == np.uint8
        np.testing.assert_array_equal(source.read(whole(source.shape))[..., 0], source.grid.to_oriented(array))


def test_more_than_bytes_need_a_rule(case):
    with pytest.raises(SourceError, match=r"a\.nii\.gz holds more than bytes; set INPUT\.INTENSITY"):
        open_source(case.image)


def test_a_scaled_and_a_cropped_volume_keep_float_pixels_and_the_grid(case):
    cfg = make_cfg(**options(DATASETS_CROP=[1, 2, 0, 6, 4, 6]))
    with build_reader(cfg).open_image(case) as source:
        view = ScaledSource(source, (6, 2, 3))
        pixels = view.read(Box((2, 0, 1), (3, 4, 5)))  # past the far sides
        assert pixels.dtype == np.float32
        assert pixels.shape == (3, 4, 5, 1)
        means = source.read(whole(source.shape)).reshape(6, 2, 2, 3, 2, 1).mean((2, 4))
        np.testing.assert_allclose(pixels[:, :2, :2], means[2:5, :, 1:], rtol=1e-5)
        assert source.grid.oriented_shape == source.frame_level0[1]


def test_large_views_are_read_in_pieces_without_rounding(case, monkeypatch):
    monkeypatch.setattr("data.sources.source.VALUES_AT_ONCE", 100)
    with VolumeSource(case.image, WINDOW) as source:
        view = ScaledSource(source, tuple(-(-n // 2) for n in source.shape))
        assert len(view.pieces(whole(view.shape), 100)) > 3
        pixels = view.read(whole(view.shape))
        assert np.abs(pixels - np.rint(pixels)).max() > 0.1


def test_the_mask_lies_on_its_image_whatever_the_order_of_its_file(case):
    with build_reader(make_cfg(**options())).open_both(case) as (image, labels):
        assert labels.dtype == np.uint8
        found = labels.read(whole(labels.shape))[..., 0]
        np.testing.assert_array_equal(found, image.read(whole(image.shape))[..., 0] > 165.8)


def test_past_the_end_of_the_image_labels_are_ignored(case):
    with build_reader(make_cfg(**options())).open_both(case) as (image, labels):
        z, row, column = image.shape
        mask = padded_mask(ScaledLabels(labels, image.shape, 1), Box((0, 0, 0), (z + 2, row, column + 1)))
        assert (mask[z:] == IGNORE).all()
        assert (mask[:, :, column:] == IGNORE).all()
        np.testing.assert_array_equal(mask[:z, :, :column], labels.read(whole(labels.shape))[..., 0])


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint8])
def test_masks_of_any_type_are_class_indices(case, dtype):
    write_nifti(case.labels, (phantom() > 300).astype(dtype), oblique((2, 0, 1), (-1, 1, 1)))
    with build_reader(make_cfg(**options())).open_both(case) as (_, labels):
        values = labels.read(whole(labels.shape))
        assert values.dtype == np.uint8
        assert values.sum() == (phantom() > 300).sum()


@pytest.mark.parametrize(("value", "message"), [(0.5, "0.5"), (256, "256"), (-1, "-1")])
def test_a_mask_value_that_is_no_class_is_named(case, value, message):
    array = np.zeros((7, 9, 11), np.float32)
    array[2, 3, 4] = value
    write_nifti(case.labels, array, oblique((2, 0, 1), (-1, 1, 1)))
    with (
        build_reader(make_cfg(**options())).open_both(case) as (_, labels),
        pytest.raises(SourceError, match=f"mask.nii.gz has the value {message}; a mask holds whole numbers"),
    ):
        labels.read(whole(labels.shape))


def test_a_mask_elsewhere_than_its_image_is_one_clear_error(case):
    moved = oblique((2, 0, 1), (-1, 1, 1))
    moved[:3, 3] += (0, 0, 2)
    write_nifti(case.labels, np.zeros((7, 9, 11), np.uint8), moved)
    reader = build_reader(make_cfg(**options()))
    with pytest.raises(SourceError, match=r"mask\.nii\.gz lies elsewhere than a\.nii\.gz: a corner lies 2 mm off"):
        reader.open_both(case).__enter__()
    write_nifti(case.labels, np.zeros((7, 9, 12), np.uint8), moved)
    with pytest.raises(SourceError, match=r"it has \(7, 12, 9\) voxels, the image \(7, 11, 9\); resample the mask"):
        reader.open_both(case).__enter__()


def test_a_map_of_a_volume_keeps_where_the_file_lies(case, tmp_path):
    with VolumeSource(case.image, WINDOW) as source:
        frame = frame_of(source, ["a"])
        create_map(tmp_path / "map.zarr", source.shape, frame)
        assert open_map(tmp_path / "map.zarr").frame == frame
        assert frame.grid == source.grid
