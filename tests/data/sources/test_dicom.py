import sys

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from data.patches.grid import Box, whole
from data.sources import SourceError, open_source
from data.sources.dicom import DicomSource
from tests.slides import noise

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def write_dicom(path, pixels, syntax=ExplicitVRLittleEndian, **tags):
    """A picture (rows, columns[, 3]) of 8 or 16 bits as DICOM, with other tags beside it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ULTRASOUND, generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = ULTRASOUND, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    colour = pixels.shape[2:] == (3,)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        dataset.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(path):
    with open_source(path) as source:
        pixels = source.read(whole(source.shape))
        assert pixels.dtype == np.uint8
        assert pixels.shape == (*source.shape, source.channels)
        return pixels


@pytest.mark.parametrize("shape", [(31, 17), (4, 6, 3)])
def test_bytes_stay_as_they_are(shape, tmp_path):
    image = noise(*shape)
    found = read(write_dicom(tmp_path / "a.dcm", image))
    np.testing.assert_array_equal(found, image.reshape(*shape[:2], -1))


def test_a_box_is_a_part_of_the_whole_and_the_pixel_size_is_known(tmp_path):
    image = noise(31, 17)
    with open_source(write_dicom(tmp_path / "a.dcm", image, PixelSpacing=[0.2, 0.1])) as source:
        box = Box((4, 5), (20, 3))
        np.testing.assert_array_equal(source.read(box)[..., 0], image[box.slices])
        assert source.spacing_um == pytest.approx((200.0, 100.0))


def test_values_of_more_bits_fill_the_range(tmp_path):
    values = np.array([[100, 200], [300, 610]], np.uint16)
    np.testing.assert_array_equal(read(write_dicom(tmp_path / "a.dcm", values))[..., 0], [[0, 50], [100, 255]])


def test_one_value_throughout_is_black(tmp_path):
    assert not read(write_dicom(tmp_path / "a.dcm", np.full((2, 2), 700, np.uint16))).any()


def test_the_window_of_the_file_counts_after_its_rescaling(tmp_path):
    values = np.array([[0, 1000], [1040, 2000]], np.int16)  # -1000, 0, 40 and 1000 HU
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 40.5, "WindowWidth": 401}
    path = write_dicom(tmp_path / "a.dcm", values, **tags)
    np.testing.assert_array_equal(read(path)[..., 0], [[0, 102], [128, 255]])  # (0 - 40) / 400 + 0.5 = 0.4 of 255
    exact = write_dicom(tmp_path / "b.dcm", values, **tags | {"WindowWidth": 400}, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_array_equal(read(exact)[..., 0], [[0, 102], [127, 255]])
    soft = write_dicom(tmp_path / "c.dcm", values, **tags, VOILUTFunction="SIGMOID")
    np.testing.assert_array_equal(read(soft)[..., 0], [[0, 102], [127, 255]])  # 255 / (1 + exp(4 * 40.5 / 401)) = 102.2


def test_several_windows_count_by_their_first(tmp_path):
    values = np.array([[0, 100]], np.uint16)
    path = write_dicom(tmp_path / "a.dcm", values, WindowCenter=[50.5, 9], WindowWidth=[101, 2])
    np.testing.assert_array_equal(read(path)[..., 0], [[0, 255]])


def test_white_is_zero_is_turned(tmp_path):
    image = noise(5, 4)
    path = write_dicom(tmp_path / "a.dcm", image, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read(path)[..., 0], 255 - image)


def test_a_palette_gives_colours(tmp_path):
    table = np.arange(4, dtype=np.uint8)
    tags = {f"{name}PaletteColorLookupTableDescriptor": [4, 0, 8] for name in ("Red", "Green", "Blue")}
    tags |= {f"{name}PaletteColorLookupTableData": bytes(factor * table)
             for name, factor in (("Red", 10), ("Green", 20), ("Blue", 30))}  # fmt: skip
    image = np.array([[0, 1], [2, 3]], np.uint8)
    found = read(write_dicom(tmp_path / "a.dcm", image, PhotometricInterpretation="PALETTE COLOR", **tags))
    np.testing.assert_array_equal(found[1, 1], [30, 60, 90])


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"NumberOfFrames": 4}, "holds 4 frames"),
        ({"PhotometricInterpretation": "ARGB"}, "has ARGB pixels"),
        ({"Rows": 900}, "is damaged"),
    ],
)
def test_what_is_no_single_picture_is_refused_by_name(tags, message, tmp_path):
    path = write_dicom(tmp_path / "a.dcm", noise(4, 4), **tags)
    with pytest.raises(SourceError, match=rf"a\.dcm {message}"):
        read(path)


def test_a_deflated_file_is_refused_unread(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", noise(4, 4), DeflatedExplicitVRLittleEndian)
    with pytest.raises(SourceError, match=r"a\.dcm is deflated"):
        DicomSource(path)


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", noise(40, 40))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(SourceError, match=r"a\.dcm is damaged"):
        read(path)


def test_a_jpeg_inside_reads_as_pillow_decodes_it(tmp_path):
    from pydicom.encaps import encapsulate

    Image.fromarray(noise(16, 24)).save(tmp_path / "a.jpg")
    tags = {"PixelData": encapsulate([(tmp_path / "a.jpg").read_bytes()])}
    path = write_dicom(tmp_path / "a.dcm", noise(16, 24), JPEGBaseline8Bit, **tags)
    with Image.open(tmp_path / "a.jpg") as second:
        np.testing.assert_array_equal(read(path)[..., 0], np.asarray(second))


def test_pydicom_that_is_not_installed_says_how_to_install_it(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", noise(4, 4))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(SourceError, match=r"a\.dcm needs pydicom.*requirements-api\.txt"):
        open_source(path)
