"""Volumes (CT, MRI) as images of three axes: z, row and column, towards head, back and left."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.sources.dicom_series import holds_series, open_series
from data.sources.file_name import ending
from data.sources.intensity import AS_IT_IS, IntensityRule, to_pixels
from data.sources.itk_file import open_itk
from data.sources.nifti import open_nifti
from data.sources.source import Source, SourceError
from data.sources.volume_file import VolumeFile
from data.sources.volume_grid import VolumeGrid

NEAR = 0.1  # of a voxel: a mask whose corners lie so near those of its image is on the same grid
VOLUME_READERS: dict[str, Callable[[Path], VolumeFile]] = {
    ".nii": open_nifti,
    ".nii.gz": open_nifti,
    ".nrrd": open_itk,
    ".mha": open_itk,
    ".mhd": open_itk,
}


def is_volume(path: Path) -> bool:
    """Whether a path is that of a volume: by its ending, or as the folder of a DICOM series."""
    return ending(path) in VOLUME_READERS or holds_series(path)


class VolumeSource(Source):
    """A volume with one channel: float32 pixels 0 to 255 by an intensity rule, or the bytes of a file that has these.

    Axes are permuted and flipped on reading to the closest ones of ours; `grid` says how.
    """

    def __init__(self, path: Path, intensity: IntensityRule = AS_IT_IS):
        self.file = open_volume(path)
        try:
            self.limits = intensity.limits(self.file.strips)
            if self.limits is None and not self.file.is_bytes:
                raise SourceError(
                    f"{path.name} holds more than bytes; set INPUT.INTENSITY ('window' for CT, else 'range')"
                )
        except BaseException:
            self.file.close()
            raise
        self.channels = 1
        self.dtype = np.dtype(np.uint8 if self.limits is None else np.float32)
        self.grid = self.file.grid
        self.level_shapes = (self.file.grid.oriented_shape,)
        self.spacing_um = self.file.grid.spacing_um

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, 1), 0 to 255; raises SourceError on a value that is no number."""
        if self.limits is None:
            return self.file.read_raw(box)[..., None]
        return to_pixels(self.file.read(box), self.limits)[..., None]

    def close(self) -> None:
        """Release the file."""
        self.file.close()


class VolumeLabels(Source):
    """Class indices from a mask volume that lies on the grid of its image; `to_classes` maps its values."""

    def __init__(self, path: Path, grid: VolumeGrid, image: str, to_classes: Callable[[np.ndarray], np.ndarray]):
        self.file = open_volume(path)
        try:
            check_same_place(self.file.grid, grid, path.name, image)
        except SourceError:
            self.file.close()
            raise
        self.channels = 1
        self.grid = self.file.grid
        self.level_shapes = (self.file.grid.oriented_shape,)
        self.spacing_um = self.file.grid.spacing_um
        self.to_classes = to_classes

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Class indices (*box.size, 1) uint8; raises SourceError on a value that is no class."""
        values = self._read_bytes(box)
        try:
            return self.to_classes(values)[..., None]
        except ValueError as error:
            raise SourceError(f"{self.file.name} {error}") from error

    def _read_bytes(self, box: Box) -> np.ndarray:
        if self.file.is_bytes:
            return self.file.read_raw(box)
        values = self.file.read(box)
        whole = np.clip(np.rint(values), 0, 255)
        if not np.array_equal(values, whole):
            wrong = float(values[values != whole][0])
            raise SourceError(f"{self.file.name} has the value {wrong:g}; a mask holds whole numbers from 0 to 255")
        return whole.astype(np.uint8)

    def close(self) -> None:
        """Release the file."""
        self.file.close()


def open_volume(path: Path) -> VolumeFile:
    """The file of a volume, by its ending, or a DICOM folder; raises SourceError naming it."""
    if path.is_dir():
        return open_series(path)
    if not path.is_file():
        raise SourceError(f"{path} is missing or no file")
    return VOLUME_READERS[ending(path)](path)


def check_same_place(labels: VolumeGrid, image: VolumeGrid, labels_name: str, image_name: str) -> None:
    """Raise SourceError, with what differs, for labels on another grid than their image.

    Order and direction of the axes in the files may differ.
    """
    if labels.oriented_shape != image.oriented_shape:
        what = f"it has {labels.oriented_shape} voxels, the image {image.oriented_shape}"
    elif labels.farthest_mm(image) > NEAR * min(image.spacing_um) / 1000:
        mm = [tuple(round(um / 1000, 4) for um in grid.spacing_um) for grid in (labels, image)]
        what = (
            f"a corner lies {labels.farthest_mm(image):.3g} mm off; voxels are {mm[0]} mm, those of the image {mm[1]}"
        )
    else:
        return
    raise SourceError(f"{labels_name} lies elsewhere than {image_name}: {what}; resample the mask to the image's grid")
