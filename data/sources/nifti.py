"""NIfTI files: mapped where they are not compressed, else unpacked once."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data.sources.source import SourceError
from data.sources.volume_file import AGAIN, MOST_DEFLATED, Scratch, VolumeFile, check_size, need, three_axes
from data.sources.volume_grid import make_grid

PART_BYTES = 2**22  # unpacked at a time


def open_nifti(path: Path) -> VolumeFile:
    """A volume of a .nii or .nii.gz file; raises SourceError naming it."""
    image = _load(path)
    header = image.header
    dtype, offset = header.get_data_dtype(), int(image.dataobj.offset)
    if offset < 0:
        raise SourceError(f"{path.name} says that its voxels begin at byte {offset}; {AGAIN}")
    shape = three_axes(path.name, image.shape)
    if dtype.fields or dtype.kind not in "iuf":
        raise SourceError(f"{path.name} has {dtype} voxels; it must have one number a voxel")
    try:
        grid = make_grid(image.affine, shape)
    except ValueError as error:
        raise SourceError(f"{path.name} {error}; write it anew with the right affine") from error
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    raw = Scratch(dtype, shape)
    if path.suffix.lower() == ".gz":
        check_size(path.name, offset + raw.nbytes, MOST_DEFLATED * path.stat().st_size)
        mapped, scratch = raw.fill(_unpacked(path, offset, raw.nbytes))
    else:
        check_size(path.name, offset + raw.nbytes, path.stat().st_size)
        mapped, scratch = lambda: np.memmap(path, dtype, "r", offset, shape, "F"), None
    return VolumeFile(path.name, grid, mapped, slope, intercept, scratch)


def _load(path: Path) -> Any:
    nibabel = need("nibabel")
    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise TypeError(f"it is a {type(image).__name__}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path.name} is a damaged gzip file; {AGAIN}") from error
    except Exception as error:  # its errors share no other base
        raise SourceError(f"{path.name} is no NIfTI file that can be read ({error}); {AGAIN}") from error
    return image


def _unpacked(path: Path, offset: int, count: int) -> Iterator[bytes]:
    """The bytes of the voxels, in parts; raises SourceError where the file ends before them or is damaged."""
    left = count
    try:
        with gzip.open(path) as file:
            _skip(file, offset)
            while left:
                part = file.read(min(left, PART_BYTES))
                if not part:
                    raise EOFError
                left -= len(part)
                yield part
            file.read(1)  # past the last byte, where the checksum is looked at
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        state = f"is cut short: it holds {count - left} bytes of voxels of {count}" if left else "is damaged"
        raise SourceError(f"{path.name} {state}; {AGAIN}") from error


def _skip(file: gzip.GzipFile, count: int) -> None:
    while count > 0:
        part = len(file.read(min(count, PART_BYTES)))
        if not part:
            raise EOFError
        count -= part
