import numpy as np
import pydicom
import pytest
import SimpleITK

from data.patches.grid import whole
from data.sources import open_source, volume_file
from data.sources.dicom_series import holds_series, open_series
from data.sources.intensity import IntensityRule
from data.sources.nifti import open_nifti
from data.sources.source import SourceError
from tests.volumes import ORDERS, oblique, phantom, write_nifti, write_series


def change(folder, k, **elements):
    """Change elements of the header of slice k; its path."""
    (path,) = folder.glob(f"*_{k}.dcm")
    data = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(data, name, value)
    data.save_as(path)
    return path


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "patient", phantom())


@pytest.mark.parametrize("in_memory", [0, 2**26])
@pytest.mark.parametrize(("axes", "flips"), ORDERS[::5])
def test_slices_are_the_volume_that_they_were_cut_from(tmp_path, monkeypatch, axes, flips, in_memory):
    monkeypatch.setattr(volume_file, "IN_MEMORY_BYTES", in_memory)
    array, affine = phantom(), oblique(axes, flips)
    found = open_series(write_series(tmp_path / "patient", array, affine))
    expected = open_nifti(write_nifti(tmp_path / "a.nii", array, affine))
    assert found.grid.oriented_shape == expected.grid.oriented_shape
    assert found.grid.farthest_mm(expected.grid) < 1e-3
    box = whole(found.grid.oriented_shape)
    np.testing.assert_array_equal(found.read(box), expected.read(box))
    assert found.map_raw().dtype == np.int16
    found.close()


def test_slices_come_in_the_order_of_a_second_reader(series):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
    expected = SimpleITK.GetArrayFromImage(SimpleITK.DICOMOrient(reader.Execute(), "LPS"))
    file = open_series(series)
    np.testing.assert_array_equal(file.read(whole(file.grid.oriented_shape)), expected)


def test_a_tilted_gantry_stays_tilted(tmp_path):
    sheared = oblique()
    sheared[:3, 2] += (0, 0.8, 0)
    file = open_series(write_series(tmp_path / "patient", phantom(), sheared))
    assert file.grid.farthest_mm(open_nifti(write_nifti(tmp_path / "a.nii", phantom(), sheared)).grid) < 1e-3


def test_a_folder_is_an_image_and_files_may_lie_deeper(series):
    inner = series / "study" / "series"
    inner.mkdir(parents=True)
    for path in series.glob("*.dcm"):
        path.rename(inner / path.name)
    (series / "notes.txt").write_text("not a slice", encoding="utf-8")
    (inner / "._000_0.dcm").write_bytes(b"a hidden file")
    with open_source(series, IntensityRule("range")) as source:
        assert source.shape == (11, 9, 7)
    assert holds_series(series)


def test_slopes_that_are_no_whole_numbers_give_floats(tmp_path):
    file = open_series(write_series(tmp_path / "patient", phantom(), RescaleSlope=0.5))
    expected = file.grid.to_oriented((phantom() + 1024) * 0.5 - 1024)
    np.testing.assert_array_equal(file.read(whole(file.grid.oriented_shape)), expected)
    assert file.map_raw().dtype == np.float32


def test_a_missing_slice_is_an_error_that_says_where(series):
    next(series.glob("*_4.dcm")).unlink()
    with pytest.raises(
        SourceError, match=r"patient: 1 slice missing between 010_3\.dcm and 002_5\.dcm, which lie 5 mm"
    ):
        open_series(series)


def test_slices_of_uneven_steps_are_an_error(series):
    data = pydicom.dcmread(next(series.glob("*_10.dcm")))
    moved = np.array(data.ImagePositionPatient, float) + 0.3 * oblique()[:3, 2] * (-1, -1, 1)
    change(series, 10, ImagePositionPatient=moved.round(6).tolist())
    with pytest.raises(SourceError, match="slices lie unevenly between"):
        open_series(series)


def test_a_doubled_slice_is_an_error_that_names_both(series):
    path = next(series.glob("*_4.dcm"))
    (series / "copy.dcm").write_bytes(path.read_bytes())
    with pytest.raises(SourceError, match=r"patient: .*(copy|006_4)\.dcm and (copy|006_4)\.dcm lie at one place"):
        open_series(series)


def test_several_series_are_an_error_that_names_them(series):
    change(series, 4, SeriesInstanceUID="1.9", SeriesDescription="scout")
    with pytest.raises(
        SourceError, match=r"patient holds 2 series \('chest 1\.2\.3' of 10, 'scout 1\.9' of 1\); leave one"
    ):
        open_series(series)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Rows": 3, "Columns": 3}, r"000_0\.dcm is \(3, 3\)|is \(9, 7\), 000_0\.dcm \(3, 3\) pixels"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "differ in direction or pixel size"),
        ({"PixelSpacing": [3, 3]}, "differ in direction or pixel size"),
        ({"ImagePositionPatient": None}, r"000_0\.dcm has no ImagePositionPatient"),
        ({"PixelSpacing": None}, r"000_0\.dcm has no PixelSpacing"),
        ({"NumberOfFrames": 5}, r"000_0\.dcm has several frames"),
    ],
)
def test_a_slice_that_is_not_of_the_stack_is_named(series, elements, message):
    change(series, 0, **elements)
    with pytest.raises(SourceError, match=message):
        open_series(series)


def test_a_slice_beside_the_others_is_named(series):
    data = pydicom.dcmread(next(series.glob("*_4.dcm")))
    along_row = np.array(data.ImageOrientationPatient[:3], float)
    change(
        series, 4, ImagePositionPatient=(np.array(data.ImagePositionPatient, float) + 2 * along_row).round(6).tolist()
    )
    with pytest.raises(SourceError, match=r"patient: 006_4\.dcm lies 2 mm beside the others"):
        open_series(series)


def test_contours_beside_the_slices_are_passed_over(series):
    data = pydicom.dcmread(next(series.glob("*_4.dcm")))
    for name in ("Rows", "Columns", "PixelData", "ImagePositionPatient"):
        delattr(data, name)
    data.Modality, data.SeriesInstanceUID = "RTSTRUCT", "1.7"
    data.save_as(series / "contours.dcm")
    assert open_series(series).grid.shape == (7, 9, 11)


def test_a_slice_that_is_cut_short_is_an_error(series):
    path = next(series.glob("*_4.dcm"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError, match=r"006_4\.dcm"):
        open_series(series)


def test_what_is_no_dicom_is_an_error(tmp_path, series):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"empty holds no DICOM picture"):
        open_series(tmp_path / "empty")
    assert not holds_series(tmp_path / "empty")
    (series / "zzz.dcm").write_bytes(b"nothing" * 100)
    with pytest.raises(SourceError, match=r"patient: zzz\.dcm is no DICOM file"):
        open_series(series)


def test_a_single_slice_is_no_volume(tmp_path):
    with pytest.raises(SourceError, match="holds a single slice"):
        open_series(write_series(tmp_path / "patient", phantom()[:, :, :1]))
