import nibabel
import numpy as np
import pytest

from data.patches.grid import Box, whole
from data.sources import volume_file
from data.sources.nifti import open_nifti
from data.sources.source import SourceError
from tests.volumes import oblique, patch, phantom, write_nifti


@pytest.fixture(params=[".nii", ".nii.gz"])
def name(request):
    return f"a{request.param}"


@pytest.fixture(params=[0, 2**26], ids=["scratch file", "memory"])
def room(request, monkeypatch):
    monkeypatch.setattr(volume_file, "IN_MEMORY_BYTES", request.param)


@pytest.mark.usefixtures("room")
def test_regions_are_those_of_a_second_reader(tmp_path, name):
    array, affine = phantom(), oblique((2, 0, 1), (-1, 1, -1))
    file = open_nifti(write_nifti(tmp_path / name, array, affine))
    np.testing.assert_allclose(file.grid.affine, nibabel.load(tmp_path / name).affine)
    box = Box((1, 0, 2), (3, 4, 5))
    found = file.read(box)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, file.grid.to_oriented(array)[box.slices])
    np.testing.assert_array_equal(np.concatenate(list(file.strips())), file.grid.to_oriented(array))
    file.close()


@pytest.mark.parametrize("dtype", ["uint8", ">i2", "<i4", "float32", ">f8", "uint16"])
def test_every_type_of_voxels_is_read(tmp_path, name, dtype):
    array = (phantom() % 200).astype(dtype)
    file = open_nifti(write_nifti(tmp_path / name, array))
    np.testing.assert_array_equal(file.read(whole(file.grid.oriented_shape)), file.grid.to_oriented(array))
    assert file.is_bytes == (dtype == "uint8")


def test_slope_and_intercept_count(tmp_path, name):
    path = patch(write_nifti(tmp_path / name, phantom()), 112, np.float32([2, -1024]))  # scl_slope and scl_inter
    file = open_nifti(path)
    expected = nibabel.load(path).get_fdata()
    np.testing.assert_array_equal(file.read(whole(file.grid.oriented_shape)), file.grid.to_oriented(expected))
    assert expected.min() < -2000


def test_a_fourth_axis_of_one_is_none(tmp_path, name):
    file = open_nifti(write_nifti(tmp_path / name, phantom()[..., None]))
    assert file.grid.shape == (7, 9, 11)


def test_four_axes_are_an_error_that_says_so(tmp_path, name):
    write_nifti(tmp_path / name, np.zeros((3, 4, 5, 2), np.int16))
    with pytest.raises(SourceError, match=r"a\.nii.* is \(3, 4, 5, 2\): 4 axes; split it into volumes"):
        open_nifti(tmp_path / name)
    write_nifti(tmp_path / name, np.zeros((3, 4), np.int16))
    with pytest.raises(SourceError, match=r"\(3, 4\): 2 axes; a volume has three"):
        open_nifti(tmp_path / name)


def test_an_affine_that_is_no_number_is_an_error(tmp_path, name):
    patch(write_nifti(tmp_path / name, phantom()), 296, np.float32([0, np.nan]))  # srow_y
    with pytest.raises(SourceError, match=r"a\.nii.* has nan in its affine.*write it anew"):
        open_nifti(tmp_path / name)


def test_voxels_of_several_numbers_are_an_error(tmp_path):
    colours = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    write_nifti(tmp_path / "a.nii", colours)
    with pytest.raises(SourceError, match="one number a voxel"):
        open_nifti(tmp_path / "a.nii")


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
def test_a_file_that_is_cut_short_is_an_error(tmp_path, name, kept):
    path = write_nifti(tmp_path / name, phantom((20, 20, 20)))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(
        SourceError, match=r"a\.nii.*(cut short|damaged gzip|cannot|no NIfTI).* copy or download it again"
    ):
        open_nifti(path)


def test_a_damaged_checksum_is_an_error(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", phantom())
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.nii\.gz is damaged; copy or download it again"):
        open_nifti(path)


def test_a_header_that_claims_more_than_the_file_can_hold_is_refused_before_room_is_taken(tmp_path, name):
    path = patch(write_nifti(tmp_path / name, phantom()), 40, np.int16([3, 32000, 32000, 32000]))  # dim
    with pytest.raises(SourceError, match="cut short: it holds at most"):
        open_nifti(path)


def test_another_file_of_that_name_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"no volume" * 100)
    with pytest.raises(SourceError, match=r"a\.nii.* (is no NIfTI file|is a damaged gzip file)"):
        open_nifti(tmp_path / name)


def test_a_value_that_is_no_number_is_named_with_its_voxel(tmp_path, name):
    array = np.zeros((4, 5, 6), np.float32)
    array[1, 2, 3] = np.inf
    file = open_nifti(write_nifti(tmp_path / name, array))
    with pytest.raises(SourceError, match=r"has the value inf at voxel \(1, 2, 3\); replace it"):
        list(file.strips())


def test_a_missing_library_names_the_requirements(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(SourceError, match=r"nibabel is not installed.*requirements-volumes\.txt"):
        volume_file.need("nibabel")
