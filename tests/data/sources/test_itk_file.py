import numpy as np
import pytest
import SimpleITK

from data.patches.grid import Box, whole
from data.sources import volume_file
from data.sources.itk_file import open_itk
from data.sources.nifti import open_nifti
from data.sources.source import SourceError
from tests.volumes import ORDERS, oblique, phantom, write_itk, write_nifti


@pytest.fixture(params=[".nrrd", ".mha", ".mhd"])
def name(request):
    return f"a{request.param}"


@pytest.mark.parametrize("in_memory", [0, 2**26])
@pytest.mark.parametrize(("axes", "flips"), ORDERS[::11])
def test_a_volume_is_the_same_in_every_format(tmp_path, monkeypatch, name, axes, flips, in_memory):
    monkeypatch.setattr(volume_file, "IN_MEMORY_BYTES", in_memory)
    array, affine = phantom(), oblique(axes, flips)
    found = open_itk(write_itk(tmp_path / name, array, affine))
    expected = open_nifti(write_nifti(tmp_path / "a.nii", array, affine))
    assert found.grid.farthest_mm(expected.grid) < 1e-3
    assert (found.grid.axes, found.grid.flipped, found.grid.shape) == (
        expected.grid.axes,
        expected.grid.flipped,
        (7, 9, 11),
    )
    box = Box((1, 0, 2), (3, 4, 5))
    np.testing.assert_array_equal(found.read(box), expected.read(box))
    found.close()


@pytest.mark.parametrize(("axes", "flips"), ORDERS[::7])
def test_voxels_come_in_the_order_of_a_second_reader(tmp_path, axes, flips):
    path = write_itk(tmp_path / "a.nrrd", phantom(), oblique(axes, flips))
    file = open_itk(path)
    second = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(path)), "LPS")
    np.testing.assert_array_equal(file.read(whole(file.grid.oriented_shape)), SimpleITK.GetArrayFromImage(second))
    assert file.grid.spacing_um == pytest.approx([1000 * mm for mm in second.GetSpacing()[::-1]])


def test_compressed_files_are_read(tmp_path, name):
    file = open_itk(write_itk(tmp_path / name, phantom(), useCompression=True))
    np.testing.assert_array_equal(file.read(whole(file.grid.oriented_shape)), file.grid.to_oriented(phantom()))


def test_four_axes_and_several_numbers_a_voxel_are_errors(tmp_path):
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.zeros((2, 3, 4, 5), np.int16), isVector=False), str(tmp_path / "a.mha")
    )
    with pytest.raises(SourceError, match=r"a\.mha is \(5, 4, 3, 2\): 4 axes; split it into volumes"):
        open_itk(tmp_path / "a.mha")
    colours = SimpleITK.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colours, str(tmp_path / "b.nrrd"))
    with pytest.raises(SourceError, match=r"b\.nrrd has 3 numbers a voxel"):
        open_itk(tmp_path / "b.nrrd")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.9])
def test_a_file_that_is_cut_short_is_an_error(tmp_path, capfd, name, compressed, kept):
    path = write_itk(tmp_path / name, phantom((20, 20, 20)), useCompression=compressed)
    voxels = next((p for p in tmp_path.iterdir() if p.suffix in (".raw", ".zraw")), path)
    voxels.write_bytes(voxels.read_bytes()[: int(kept * voxels.stat().st_size)])
    with pytest.raises(
        SourceError, match=r"^a\.\w+ (cannot be read \(.*\)|is cut short: .*); copy or download it again"
    ):
        open_itk(path)


def test_another_file_of_that_name_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"no volume" * 100)
    with pytest.raises(SourceError, match=r"^a\.\w+ cannot be read"):
        open_itk(tmp_path / name)


def test_a_place_that_is_no_number_is_an_error(tmp_path):
    path = write_itk(tmp_path / "a.nrrd", phantom())
    lines = path.read_bytes().split(b"\n", 20)
    lines = [b"space origin: (nan,0,0)" if line.startswith(b"space origin") else line for line in lines]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(SourceError, match=r"a\.nrrd (cannot be read|has nan in its affine)"):
        open_itk(path)
