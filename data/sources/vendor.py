"""Slides of scanner makers (SVS, NDPI, MRXS, SCN, BIF, DICOM, ...), read by region through openslide."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.patches.grid import Box, whole
from data.sources.source import Source, SourceError, naming
from data.sources.spacing import Spacing, plausible

if TYPE_CHECKING:
    import openslide

ENDINGS = (".svs", ".ndpi", ".vms", ".vmu", ".mrxs", ".scn", ".svslide", ".bif", ".czi", ".dcm")
TILE = "256"  # side of what is decoded together where openslide does not say
SERIES = "dicom.SeriesInstanceUID"  # which all files of a slide share
ROUNDING_NOISE = 1e-6  # of a product that stands for a whole number of level-0 pixels


class VendorSource(Source):
    """A slide in a scanner's own format as RGB over the background colour that it states, else over white.

    Where the file says which part of the slide was scanned, the image is that part, and all places count from its
    corner; `scanned` is where it lies in the frame of the file. Raises SourceError, naming the file, for what openslide
    cannot read. At a level that is no whole number of times smaller, openslide interpolates: pixels there are those of
    the file moved by less than a level-0 pixel.
    """

    channels = 3

    def __init__(self, path: Path):
        self.path = path
        self._slide = open_slide(path)
        try:
            with naming(f"{path.name} has metadata that cannot be understood"):
                self._describe(self._slide.properties)
            if path.suffix.lower() == ".dcm":
                _refuse_two_slides(path, self._slide)
        except BaseException:
            self._slide.close()
            raise

    def _describe(self, properties: Mapping[str, str]) -> None:
        slide = self._slide
        self.scanned = _scanned_part(properties, slide.dimensions[::-1])
        is_part = self.scanned != whole(slide.dimensions[::-1])
        self._downsamples = slide.level_downsamples
        self.level_shapes = tuple(
            tuple(max(1, round(n / down)) for n in self.scanned.size) if is_part else size[::-1]
            for size, down in zip(slide.level_dimensions, self._downsamples, strict=True)
        )
        self._tiles = [
            tuple(int(properties.get(f"openslide.level[{level}].tile-{side}", TILE)) for side in ("height", "width"))
            for level in range(slide.level_count)
        ]
        self._background = np.frombuffer(
            bytes.fromhex(properties.get("openslide.background-color", "FFFFFF")), np.uint8
        )
        # openslide cuts off fractions of a place on Leica's slides and interpolates at those of the other makers
        self._to_whole = math.ceil if properties.get("openslide.vendor") == "leica" else round
        self.spacing_um = _stated_spacing_um(properties)

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (rows, columns, 3) uint8 of a box at a level."""
        if 0 in box.size:
            return np.zeros((*box.size, self.channels), np.uint8)
        down = self._downsamples[level]
        row, column = (
            corner + self._to_whole(start * down - ROUNDING_NOISE)
            for corner, start in zip(self.scanned.start, box.start, strict=True)
        )
        with naming(f"{self.path.name} is damaged: {box} of level {level} does not decode"):
            region = self._slide.read_region((column, row), level, (box.size[1], box.size[0]))
            return _over(np.asarray(region), self._background)

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """Rows and columns of the tiles of a level, as far as openslide knows them."""
        return self._tiles[level]

    def close(self) -> None:
        """Close the slide's files."""
        self._slide.close()


def open_slide(path: Path) -> "openslide.OpenSlide":
    """The slide as openslide opens it; raises SourceError where it is no slide or openslide is missing."""
    try:
        import openslide
    except (ImportError, OSError) as error:
        install = "pip install --requirement requirements-openslide.txt --constraint constraints.txt"
        raise SourceError(f"{path.name} needs openslide, which is missing here ({error}): {install}") from error
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SourceError(f"{path.name} is no slide that openslide knows; name a plain TIFF .tif ({error})") from error
    except openslide.OpenSlideError as error:
        raise SourceError(f"{path.name} cannot be read by openslide ({error})") from error


def _scanned_part(properties: Mapping[str, str], shape: tuple[int, ...]) -> Box:
    """The box at level 0 that holds scanned pixels; all of the slide where none is stated."""
    names = [f"openslide.bounds-{name}" for name in ("y", "x", "height", "width")]
    if not all(name in properties for name in names):
        return whole(shape)
    row, column, rows, columns = (int(properties[name]) for name in names)
    part = Box((row, column), (rows, columns)).within(shape)
    return part if all(part.size) else whole(shape)


def _stated_spacing_um(properties: Mapping[str, str]) -> Spacing | None:
    row, column = (float(properties.get(f"openslide.mpp-{axis}", "nan")) for axis in "yx")
    return plausible(row, column)


def _over(pixels: np.ndarray, background: np.ndarray) -> np.ndarray:
    """RGB of straight RGBA pixels laid over a colour."""
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    weighted = pixels[..., :3] * alpha.astype(np.uint16) + background * (255 - alpha.astype(np.uint16))
    return ((weighted + 127) // 255).astype(np.uint8)


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, sorted by name; they make one slide."""
    found = (path for path in folder.iterdir() if path.suffix.lower() == ".dcm" and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def _refuse_two_slides(path: Path, slide: "openslide.OpenSlide") -> None:
    """Raise SourceError where a file beside a DICOM slide's belongs to another slide, which would be passed over.

    A level and an associated picture are a file each, so that files need a look only where there are more of them.
    """
    files = dicom_files(path.parent)
    if len(files) <= slide.level_count + len(slide.associated_images):
        return
    own = slide.properties[SERIES]
    other = next((file for file in files if _series_of(file) not in (None, own)), None)
    if other is not None:
        names = f"{path.name} and {other.name}"
        raise SourceError(f"{path.parent.name} holds the DICOM files of several slides ({names}); give each a folder")


def _series_of(file: Path) -> str | None:
    try:
        with open_slide(file) as slide:
            return slide.properties[SERIES]
    except SourceError:
        return None
