"""Lazy images: `open_source(path)` gives shape, channels, pixel size, levels and `read(box, level)`."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.sources.dicom import is_dicom_file, open_dicom
from data.sources.file_name import ending
from data.sources.image import ImageSource
from data.sources.intensity import AS_IT_IS, IntensityRule
from data.sources.slice_stack import holds_stack, open_stack
from data.sources.slide import TiffSource
from data.sources.source import ArraySource, ScaledSource, Source, SourceError, model_shape
from data.sources.vendor import ENDINGS as VENDOR_ENDINGS
from data.sources.vendor import VendorSource
from data.sources.volume import VOLUME_READERS, VolumeSource

READERS: dict[str, Callable[[Path], Source]] = {
    ".tif": TiffSource,
    ".tiff": TiffSource,
    ".png": ImageSource,
    ".jpg": ImageSource,
    ".jpeg": ImageSource,
    ".bmp": ImageSource,
    **dict.fromkeys(VENDOR_ENDINGS, VendorSource),
    **dict.fromkeys(VOLUME_READERS, VolumeSource),
    ".dcm": open_dicom,
}


def open_source(path: Path, intensity: IntensityRule = AS_IT_IS) -> Source:
    """Open an image file by its ending, a DICOM file under any name, or a folder of slices.

    `intensity` says how the values of a volume become pixels. Raises SourceError naming what cannot be read.
    """
    reader = READERS.get(ending(path))
    if reader is None and path.is_dir():
        return open_stack(path) if holds_stack(path) else VolumeSource(path, intensity)
    reader = reader or (open_dicom if is_dicom_file(path) else None)
    if reader is None:
        raise SourceError(f"{path.name} is no image of a known kind; choose one of {sorted(READERS)}")
    if not path.is_file():
        raise SourceError(f"{path} is missing or no file")
    source = VolumeSource(path, intensity) if reader is VolumeSource else reader(path)
    _refuse_odd_sides(source, path)
    return source


def _refuse_odd_sides(source: Source, path: Path) -> None:
    """Raise SourceError where a level has no pixels, or sides that are no whole numbers, as damaged headers declare."""
    levels = [(shape, source.tile_shape(level)) for level, shape in enumerate(source.level_shapes)]
    for sides in itertools.chain(*levels):
        if not all(isinstance(n, (int, np.integer)) and n > 0 for n in sides):
            source.close()
            raise SourceError(f"{path.name} is damaged: it declares levels and tiles of {levels[:3]}")


__all__ = ["READERS", "ArraySource", "ScaledSource", "Source", "SourceError", "model_shape", "open_source"]
