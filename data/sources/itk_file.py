"""NRRD and MetaImage files, which SimpleITK decodes."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from data.sources.source import SourceError
from data.sources.volume_file import AGAIN, MOST_DEFLATED, Scratch, VolumeFile, check_size, need, three_axes
from data.sources.volume_grid import make_grid

FORMATS = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}
ELSEWHERE = ("data file", "datafile", "elementdatafile")  # what says where the voxels lie
HEAD_BYTES = 2**16  # hold the header
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM and ITK count towards left and back


def open_itk(path: Path) -> VolumeFile:
    """A volume of a .nrrd, .mha or .mhd file, which is decoded whole, once; raises SourceError naming it."""
    itk = simple_itk()
    most = _most_bytes(path)
    try:
        reader = itk.ImageFileReader()
        reader.SetImageIO(FORMATS[path.suffix.lower()])  # else another format may answer, which names other files
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        shape = three_axes(path.name, reader.GetSize())
        if reader.GetNumberOfComponents() != 1:
            raise SourceError(f"{path.name} has {reader.GetNumberOfComponents()} numbers a voxel; it must have one")
        check_size(path.name, math.prod(shape) * bytes_a_pixel(reader), most)
        image = reader.Execute()
    except RuntimeError as error:
        raise SourceError(f"{path.name} cannot be read ({in_short(error)}); {AGAIN}") from error
    try:
        grid = make_grid(_affine(image), shape)
    except ValueError as error:
        raise SourceError(f"{path.name} {error}") from error
    array = itk.GetArrayViewFromImage(image).reshape(shape[::-1])  # the first axis of the file is the last one here
    mapped, scratch = Scratch(array.dtype, shape).fill(plane.tobytes() for plane in array)
    return VolumeFile(path.name, grid, mapped, scratch=scratch)


def bytes_a_pixel(reader: Any) -> int:
    """The bytes of a number in the file that a reader of SimpleITK has looked at."""
    kind = simple_itk().GetPixelIDValueAsString(reader.GetPixelID())
    return next((bits // 8 for bits in (64, 32, 16, 8) if str(bits) in kind), 1)


def _most_bytes(path: Path) -> int:
    """How many bytes of voxels a file can hold, with the one beside it that its header may name; raises SourceError."""
    fields = dict(_fields(path))
    held = path.stat().st_size + sum(_beside(path, fields[key]) for key in ELSEWHERE if key in fields)
    is_nrrd = path.suffix.lower() == ".nrrd"
    is_raw = fields.get("encoding") == "raw" if is_nrrd else fields.get("compresseddata", "").lower() != "true"
    return held if is_raw else MOST_DEFLATED * held


def _fields(path: Path) -> Iterator[tuple[str, str]]:
    """Names, in small letters, and values of a header."""
    is_nrrd = path.suffix.lower() == ".nrrd"
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("latin-1")
    for line in head.splitlines():
        key, _, value = line.partition(":" if is_nrrd else "=")
        yield key.strip().lower(), value.strip()
        if (is_nrrd and not line) or key.strip().lower() == "elementdatafile":
            return  # the voxels follow


def _beside(path: Path, name: str) -> int:
    if name.upper() == "LOCAL":
        return 0
    if path.suffix.lower() != ".mhd" or Path(name).name != name or not (path.parent / name).is_file():
        raise SourceError(
            f"{path.name} has its voxels in another file, {name!r}; only .mhd may, of a file that lies beside it"
        )
    return (path.parent / name).stat().st_size


def simple_itk() -> ModuleType:
    """SimpleITK, which does not write to the terminal what it thinks of a file."""
    itk = need("SimpleITK")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    return itk


def in_short(error: RuntimeError) -> str:
    """The last line of what SimpleITK says, which begins with a place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Reason: Success" not in line]
    return lines[-1].removeprefix("sitk::ERROR: ") if lines else type(error).__name__


def _affine(image: Any) -> np.ndarray:
    """Matrix (4, 4) from indices to mm in right, anterior, superior."""
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ affine
