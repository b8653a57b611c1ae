"""NRRD and MetaImage files, which SimpleITK decodes."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from data.sources.source import SourceError
from data.sources.volume_file import AGAIN, Scratch, VolumeFile, need, three_axes
from data.sources.volume_grid import make_grid

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM and ITK count towards left and back


def open_itk(path: Path) -> VolumeFile:
    """A volume of a .nrrd, .mha or .mhd file, which is decoded whole, once; raises SourceError naming it."""
    itk = simple_itk()
    try:
        reader = itk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        shape = three_axes(path.name, reader.GetSize())
        if reader.GetNumberOfComponents() != 1:
            raise SourceError(f"{path.name} has {reader.GetNumberOfComponents()} numbers a voxel; it must have one")
        image = itk.ReadImage(str(path))
    except RuntimeError as error:
        raise SourceError(f"{path.name} cannot be read ({in_short(error)}); {AGAIN}") from error
    try:
        grid = make_grid(_affine(image), shape)
    except ValueError as error:
        raise SourceError(f"{path.name} {error}") from error
    array = itk.GetArrayViewFromImage(image).reshape(shape[::-1])  # the first axis of the file is the last one here
    mapped, scratch = Scratch(array.dtype, shape).fill(plane.tobytes() for plane in array)
    return VolumeFile(path.name, grid, mapped, scratch=scratch)


def simple_itk() -> ModuleType:
    """SimpleITK, which does not write to the terminal what it thinks of a file."""
    itk = need("SimpleITK")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    return itk


def in_short(error: RuntimeError) -> str:
    """The last line of what SimpleITK says, which begins with a place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR: ") if lines else type(error).__name__


def _affine(image: Any) -> np.ndarray:
    """Matrix (4, 4) from indices to mm in right, anterior, superior."""
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ affine
