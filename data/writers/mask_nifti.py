"""Masks of volumes as NIfTI on the grid of the file that they were made from: crop, scale and order undone."""

import gzip
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.sources.volume_file import need
from data.sources.volume_grid import VolumeGrid
from data.stitching.mask import MaskView, Threshold
from data.stitching.probability_map import ProbabilityMap
from utils.atomic import atomic_path

SLAB_CELLS = 2**22  # voxels that are held at once
ZLIB_LEVEL = 3  # of 1 to 9
MILLIMETRES, SCANNER = 2, 1  # NIfTI's codes of the unit and of the frame of an affine


def write_mask_nifti(path: Path, probabilities: ProbabilityMap, threshold: Threshold) -> None:
    """Write the mask of a volume as .nii.gz, uint8 class indices voxel for voxel on the file's grid; 0 is background.

    The same mask gives the same bytes. Raises SourceError where nibabel is missing, ValueError for a map of no volume.
    """
    frame = probabilities.frame
    if frame.grid is None:
        raise ValueError(f"{path.name}: the image is no volume; NIfTI is for volumes")
    mask = MaskView(probabilities.on_image(frame.shape_level0), threshold)
    header = _header(frame.grid)
    # without the name and the time that gzip would keep
    with atomic_path(path) as draft, draft.open("wb") as file, gzip.GzipFile("", "wb", ZLIB_LEVEL, file, 0) as packed:
        packed.write(header)
        _write_slabs(packed, mask, frame.grid)


def _write_slabs(file: gzip.GzipFile, mask: MaskView, grid: VolumeGrid) -> None:
    for box in _slabs(grid.shape):
        own = grid.box_oriented(box)
        file.write(grid.to_file(mask.read(own)).tobytes(order="F"))


def _slabs(shape: tuple[int, ...]) -> Iterator[Box]:
    """Boxes along the last axis of a file, the one whose voxels lie farthest apart."""
    depth = max(1, SLAB_CELLS // math.prod(shape[:-1]))
    for start in range(0, shape[-1], depth):
        yield Box((0, 0, start), (*shape[:-1], min(depth, shape[-1] - start)))


def _header(grid: VolumeGrid) -> bytes:
    """The header of a NIfTI file, up to the first voxel."""
    nibabel = need("nibabel")
    large = max(grid.shape) > np.iinfo(np.int16).max
    header = (nibabel.Nifti2Header if large else nibabel.Nifti1Header)()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(grid.shape)
    header.set_sform(np.asarray(grid.affine), SCANNER)
    header.set_qform(np.asarray(grid.affine), SCANNER, strip_shears=True)
    header.set_xyzt_units(MILLIMETRES)
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    header.set_slope_inter(1, 0)
    return bytes(header.binaryblock).ljust(header.single_vox_offset, b"\0")
