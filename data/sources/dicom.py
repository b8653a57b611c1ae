"""Single DICOM pictures (ultrasound, X-ray, endoscopy), as 8-bit grey values or colours."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.patches.grid import Box
from data.sources.source import Source, SourceError, naming
from data.sources.vendor import VendorSource

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE, MAGIC = 128, b"DICM"
HEAD_BYTES = 4096  # holds the file's own description, which comes first
SLIDE = b"1.2.840.10008.5.1.4.1.1.77.1.6"  # the kind of whole slides, which openslide reads
DEFLATED = "1.2.840.10008.1.2.1.99"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
GREYS = ("MONOCHROME1", "MONOCHROME2")


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with these bytes is DICOM."""
    return head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC


def is_dicom_file(path: Path) -> bool:
    """Whether a path is a DICOM file, whatever its name."""
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(PREAMBLE + len(MAGIC)))
    except OSError:
        return False


def open_dicom(path: Path) -> Source:
    """A DICOM file as what it is: a whole slide or a single picture."""
    with naming(f"{path.name} cannot be read"), path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return DicomSource(path) if is_dicom(head) and SLIDE not in head else VendorSource(path)


class DicomSource(Source):
    """One picture of a DICOM file, decoded whole on first use.

    Grey values go through the rescaling and the first window that the file states, else their range becomes 0 to 255;
    8-bit ones without a window stay as they are. MONOCHROME1 is turned, so that bright is bright.
    """

    def __init__(self, path: Path):
        self.path = path
        header = _read(path, pixels=False)
        with naming(f"{path.name} has a header that cannot be understood"):
            self.level_shapes = ((int(header.Rows), int(header.Columns)),)
            photometric, frames = str(header.PhotometricInterpretation), int(header.get("NumberOfFrames") or 1)
            self.channels = 3 if photometric in COLOURS else 1
            sizes_mm = [float(each) for each in header.get("PixelSpacing") or ()]
            self.spacing_um = (1000 * sizes_mm[0], 1000 * sizes_mm[1]) if min(sizes_mm, default=0) > 0 else None
        if min(self.shape) < 1:
            raise SourceError(f"{path.name} has {self.shape[0]} rows and {self.shape[1]} columns: it holds no picture")
        if frames > 1:
            raise SourceError(f"{path.name} holds {frames} frames; save the one that is meant as a file of its own")
        if photometric not in (*COLOURS, *GREYS):
            raise SourceError(f"{path.name} has {photometric} pixels; choose one of {[*GREYS, *COLOURS]}")

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (rows, columns, channels) uint8."""
        return self._pixels[box.slices]

    @cached_property
    def _pixels(self) -> np.ndarray:
        dataset = _read(self.path, pixels=True)
        with naming(f"{self.path.name} is damaged"):
            return _as_picture(dataset, dataset.pixel_array)


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Each picture (rows, columns, channels) uint8 of a DICOM file, of a loop of many too; raises SourceError."""
    dataset = _read(path, pixels=True)
    with naming(f"{path.name} is damaged"):
        from pydicom.pixels import iter_pixels

        if "PixelData" not in dataset:
            raise SourceError(f"{path.name} holds no picture")
        if dataset.PhotometricInterpretation not in (*COLOURS, *GREYS):
            raise SourceError(f"{path.name} has {dataset.PhotometricInterpretation} pixels")
        for stored in iter_pixels(dataset):
            yield _as_picture(dataset, stored)


def _read(path: Path, pixels: bool) -> "Dataset":
    try:
        import pydicom
    except ImportError as error:
        install = "pip install --requirement requirements-api.txt --constraint constraints.txt"
        raise SourceError(f"{path.name} needs pydicom, which is missing here: {install}") from error
    with naming(f"{path.name} is no readable DICOM file"):
        if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:
            raise SourceError(f"{path.name} is deflated, which may unpack to any size; save it as it is")
        return pydicom.dcmread(path, stop_before_pixels=not pixels)


def _as_picture(dataset: "Dataset", stored: np.ndarray) -> np.ndarray:
    """Stored values of a picture (rows, columns, channels) as bytes."""
    from pydicom.pixels import apply_color_lut

    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    values = stored if photometric in COLOURS else _grey(dataset, stored)
    return _in_bytes(values).reshape(dataset.Rows, dataset.Columns, 3 if photometric in COLOURS else 1)


def _grey(dataset: "Dataset", stored: np.ndarray) -> np.ndarray:
    """Grey values as the file wants them shown: uint8, or 0 to 255 in float32."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(stored, dataset)
    if "WindowCenter" in dataset:
        shown = _in_window(values, dataset)
    elif "VOILUTSequence" in dataset:
        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        shown = apply_voi_lut(values, dataset).astype(np.float32) * (255 / (2**bits - 1))
    elif values.dtype == np.uint8:
        shown = values
    else:
        low, high = float(values.min()), float(values.max())
        shown = ((values - low) * (255 / max(high - low, 1e-6))).astype(np.float32)
    return 255 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown


def _in_window(values: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Values through the first window of the file, 0 to 255; the formulas are those of DICOM PS3.3 C.11.2.1."""
    centre, width = (float(np.atleast_1d(dataset[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    function = dataset.get("VOILUTFunction", "LINEAR")
    if function == "SIGMOID":
        return (255 / (1 + np.exp(-4 * (values - centre) / width))).astype(np.float32)
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    share = (values - centre) / max(width, 1e-6) + 0.5
    return (255 * np.clip(share, 0, 1)).astype(np.float32)


def _in_bytes(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint16:  # a palette of 16 bits
        values = values / np.float32(257)
    return values if values.dtype == np.uint8 else np.rint(values).astype(np.uint8)
