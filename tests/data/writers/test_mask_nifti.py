import nibabel
import numpy as np
import pytest
import SimpleITK

from data.cases import Case
from data.patches.grid import Box, Grid
from data.patches.scale import build_scale
from data.sources.opening import build_reader
from data.sources.volume_grid import make_grid
from data.stitching.probability_map import create_map, frame_of
from data.stitching.sliding_window import PatchReader, predict_map
from data.writers import mask_nifti
from data.writers.mask_nifti import write_mask_nifti
from tests.maps import memory_map
from tests.slides import make_cfg
from tests.volumes import ORDERS, oblique, write_itk, write_nifti, write_series


def blob(shape):
    """A lopsided object, off the centre of a file along each axis."""
    i, j, k = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    return ((i - 0.35) / 0.2) ** 2 + ((j - 0.55) / 0.3) ** 2 + ((k - 0.45) / 0.25) ** 2 + (i - 0.35) * (
        j - 0.55
    ) * 9 < 1


def bright(patches):
    """A network that finds what is bright."""
    return (patches > 127).astype(np.float32)


def predict(path, folder, **options):
    """The mask, on the file's grid, of a volume of 100 within and -100 without the object."""
    cfg = make_cfg(INPUT_INTENSITY="window", INPUT_WINDOW=[-100, 100], MODEL_IN_CHANNELS=1, **options)
    scale = build_scale(cfg)
    with build_reader(cfg).open_image(Case("a", path)) as source:
        shape = scale.shape_of(source)
        target = create_map(folder / "map.zarr", shape, frame_of(source, ["object"]))
        grid = Grid(shape, (8, 8, 8), (2, 2, 2))
        with PatchReader(source, grid, 2) as reader:
            predict_map(reader, bright, target)
    write_mask_nifti(folder / "mask.nii.gz", target, 0.5)
    return nibabel.load(folder / "mask.nii.gz")


@pytest.mark.parametrize("slab", [2**22, 1])
@pytest.mark.parametrize(("axes", "flips"), ORDERS[::5])
def test_a_mask_lies_voxel_for_voxel_on_its_file_whatever_the_order_of_its_axes(
    tmp_path, monkeypatch, axes, flips, slab
):
    monkeypatch.setattr(mask_nifti, "SLAB_CELLS", slab)
    truth, affine = blob((12, 14, 17)), oblique(axes, flips)
    path = write_nifti(tmp_path / "a.nii.gz", np.where(truth, 100, -100).astype(np.int16), affine)
    found = predict(path, tmp_path, TILES_REDUCTION=1.0)
    np.testing.assert_array_equal(np.asarray(found.dataobj), truth)
    np.testing.assert_allclose(found.affine, affine, rtol=1e-6)
    assert found.get_data_dtype() == np.uint8
    assert (found.header["sform_code"], found.header["qform_code"]) == (1, 1)
    assert found.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize(("axes", "flips"), ORDERS[::9])
def test_crop_and_scale_are_undone_on_the_file_s_grid(tmp_path, axes, flips):
    truth, affine = blob((30, 33, 37)), oblique(axes, flips)
    path = write_nifti(tmp_path / "a.nii.gz", np.where(truth, 100, -100).astype(np.int16), affine)
    found = predict(path, tmp_path, TILES_REDUCTIONS=[1, 2, 1.5], DATASETS_CROP=[2, 3, 1, 25, 25, 28])
    assert found.shape == truth.shape
    np.testing.assert_allclose(found.affine, affine, rtol=1e-6)
    mask, cropped = np.asarray(found.dataobj) > 0, np.zeros(truth.shape, bool)
    cropped[make_grid(affine, truth.shape).box_in_file(Box((2, 3, 1), (25, 25, 28))).slices] = True
    inside = truth & cropped
    assert not (mask & ~cropped).any()
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.93
    centres = [np.argwhere(each).mean(0) for each in (mask, inside)]
    np.testing.assert_allclose(*centres, atol=0.25)


def test_masks_of_other_formats_lie_on_their_files_too(tmp_path):
    truth, affine = blob((12, 14, 17)), oblique((2, 0, 1), (-1, 1, 1))
    values = np.where(truth, 100, -100).astype(np.int16)
    for path in (write_itk(tmp_path / "a.nrrd", values, affine), write_series(tmp_path / "series", values, affine)):
        found = predict(path, tmp_path / f"of {path.name}", TILES_REDUCTION=1.0)
        by_place = [
            nibabel.as_closest_canonical(each) for each in (found, nibabel.Nifti1Image(truth.astype("u1"), affine))
        ]
        np.testing.assert_array_equal(*(np.asarray(each.dataobj) for each in by_place))
        np.testing.assert_allclose(*(each.affine for each in by_place), atol=1e-3)


def test_a_second_reader_sees_the_mask_on_its_image(tmp_path):
    truth = blob((12, 14, 17))
    path = write_nifti(tmp_path / "a.nii", np.where(truth, 100, -100).astype(np.int16), oblique((1, 2, 0), (1, -1, 1)))
    predict(path, tmp_path, TILES_REDUCTION=1.0)
    image, mask = (SimpleITK.ReadImage(str(tmp_path / name)) for name in ("a.nii", "mask.nii.gz"))
    np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(mask.GetDirection(), image.GetDirection(), atol=1e-5)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask) > 0, SimpleITK.GetArrayFromImage(image) > 0)


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    path = write_nifti(tmp_path / "a.nii", np.where(blob((9, 9, 9)), 100, -100).astype(np.int16))
    for name in ("one", "other"):
        predict(path, tmp_path / name, TILES_REDUCTION=1.0)
    one, other = ((tmp_path / name / "mask.nii.gz").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_map_of_no_volume_is_refused(tmp_path):
    with pytest.raises(ValueError, match="NIfTI is for volumes"):
        write_mask_nifti(tmp_path / "a.nii.gz", memory_map(np.zeros((1, 3, 3), np.uint8), ["a"]), 0.5)
