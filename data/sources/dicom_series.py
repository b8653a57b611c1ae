"""A folder of DICOM slices as one volume: sorted by their place in the patient, none missing, none twice."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.sources.itk_file import LPS_TO_RAS, in_short, simple_itk
from data.sources.source import SourceError
from data.sources.volume_file import AGAIN, MOST_DEFLATED, Scratch, VolumeFile, check_size, need
from data.sources.volume_grid import make_grid

UNEVEN = 0.1  # of the usual step: slices whose step differs by more are not those of one even stack
BESIDE = 0.5  # of a pixel: so far a slice may lie beside the line through the first and the last one
KINDS = (np.uint8, np.int16, np.int32)  # of values, the first that holds them all
DEFLATED = "1.2.840.10008.1.2.1.99"  # a transfer syntax
TAGS = [
    *("SeriesInstanceUID", "SeriesDescription", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation"),
]


@dataclass(frozen=True)
class Slice:
    """A DICOM picture: `place` (3,) of its first pixel in mm, and `axes` (3, 2), mm a column and a row, both in LPS."""

    path: Path
    series: str
    shape: tuple[int, int]
    place: np.ndarray
    axes: np.ndarray
    least: float
    most: float
    is_whole: bool

    @property
    def height(self) -> float:
        """Where it lies along the direction across it, in mm."""
        across = np.cross(self.axes[:, 0], self.axes[:, 1])
        return float(self.place @ across / np.linalg.norm(across))


def holds_series(folder: Path) -> bool:
    """Whether a folder holds DICOM files, at any depth."""
    return folder.is_dir() and next(_files(folder), None) is not None


def open_series(folder: Path) -> VolumeFile:
    """The volume of the DICOM slices below a folder; raises SourceError naming the folder and the slice at fault."""
    slices = sorted(_one_series(folder, read_slices(folder)), key=lambda each: each.height)
    _check_alike(folder, slices)
    step = _check_steps(folder, slices)
    first = slices[0]
    affine = np.eye(4)
    affine[:3] = np.column_stack([first.axes, step, first.place])
    grid = make_grid(LPS_TO_RAS @ affine, (first.shape[1], first.shape[0], len(slices)))
    raw = Scratch(_kind(slices), grid.shape)
    mapped, scratch = raw.fill(_decoded(each, raw.dtype).tobytes() for each in slices)
    return VolumeFile(folder.name, grid, mapped, scratch=scratch)


def read_slices(folder: Path) -> list[Slice]:
    """The headers of all pictures below a folder; other DICOM files, such as contours, are passed over."""
    pydicom = need("pydicom")
    slices = []
    for path in sorted(_files(folder)):
        try:
            if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:
                raise ValueError("it is deflated, which may unpack to any size; save it as it is")
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        except Exception as error:  # its errors share no other base
            raise SourceError(f"{folder.name}: {path.name} is no DICOM file that can be read ({error})") from error
        if "Rows" in header:
            slices.append(_slice(folder, path, header))
    if not slices:
        raise SourceError(f"{folder.name} holds no DICOM picture (*.dcm)")
    return slices


def _files(folder: Path) -> Iterator[Path]:
    every = (path for path in folder.rglob("*") if path.suffix.lower() == ".dcm" and not path.name.startswith("."))
    return (path for path in every if path.is_file())


def _slice(folder: Path, path: Path, header: Any) -> Slice:
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if not header.get(name):
            raise SourceError(
                f"{folder.name}: {path.name} has no {name}, so that nobody knows where it lies; leave it out"
            )
    if int(header.get("NumberOfFrames") or 1) > 1 or int(header.get("SamplesPerPixel") or 1) > 1:
        raise SourceError(f"{folder.name}: {path.name} has several frames or colours; a slice has one number a pixel")
    shape = int(header.Rows), int(header.Columns)
    check_size(f"{folder.name}: {path.name}", math.prod(shape), MOST_DEFLATED * path.stat().st_size)
    row_mm, column_mm = map(float, header.PixelSpacing)
    if not (0 < row_mm < math.inf and 0 < column_mm < math.inf):
        raise SourceError(f"{folder.name}: {path.name} has PixelSpacing {row_mm:g}, {column_mm:g} mm; leave it out")
    axes = np.reshape([float(each) for each in header.ImageOrientationPatient], (2, 3)).T * (column_mm, row_mm)
    place = np.array([float(each) for each in header.ImagePositionPatient])
    if not (np.isfinite(axes).all() and np.isfinite(place).all()):
        raise SourceError(f"{folder.name}: {path.name} has a place in the patient that is no number")
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise SourceError(f"{folder.name}: {path.name} has RescaleSlope {slope:g}, RescaleIntercept {intercept:g}")
    span, is_signed = 2.0 ** int(header.get("BitsStored") or 16), bool(header.get("PixelRepresentation"))
    least, most = (-span / 2, span / 2 - 1) if is_signed else (0.0, span - 1)
    ends = sorted((slope * least + intercept, slope * most + intercept))
    series = f"{header.get('SeriesDescription') or ''} {header.get('SeriesInstanceUID') or ''}".strip()
    is_whole = slope.is_integer() and intercept.is_integer()
    return Slice(path, series, shape, place, axes, ends[0], ends[1], is_whole)


def _one_series(folder: Path, slices: Sequence[Slice]) -> Sequence[Slice]:
    counts: dict[str, int] = {}
    for each in slices:
        counts[each.series] = counts.get(each.series, 0) + 1
    if len(counts) > 1:
        found = ", ".join(f"{name!r} of {count}" for name, count in sorted(counts.items()))
        raise SourceError(f"{folder.name} holds {len(counts)} series ({found}); leave one in the folder")
    if len(slices) < 2:
        raise SourceError(f"{folder.name} holds a single slice, {slices[0].path.name}; a volume has several")
    return slices


def _check_alike(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for each in slices:
        if each.shape != first.shape:
            what = f"{each.path.name} is {each.shape}, {first.path.name} {first.shape} pixels"
        elif not np.allclose(each.axes, first.axes, rtol=0, atol=1e-3):
            what = f"{each.path.name} and {first.path.name} differ in direction or pixel size"
        else:
            continue
        raise SourceError(f"{folder.name}: {what}; leave the slices of one stack in the folder")


def _check_steps(folder: Path, slices: Sequence[Slice]) -> np.ndarray:
    """The step (3,) in mm from slice to slice; raises SourceError where slices lack, are doubled or lie askew."""
    usual = float(np.median(np.diff([each.height for each in slices])))
    for low, high in itertools.pairwise(slices):
        _check_pair(folder, low, high, usual)
    places, sides = np.array([each.place for each in slices]), np.linalg.norm(slices[0].axes, axis=0)
    off = (places - np.linspace(places[0], places[-1], len(slices))) @ (slices[0].axes / sides)
    beside = np.linalg.norm(off, axis=1)
    if beside.max() > BESIDE * sides.min():
        name = slices[int(beside.argmax())].path.name
        raise SourceError(f"{folder.name}: {name} lies {beside.max():g} mm beside the others; leave it out")
    return (places[-1] - places[0]) / (len(slices) - 1)


def _check_pair(folder: Path, low: Slice, high: Slice, usual: float) -> None:
    step = high.height - low.height
    names = f"{low.path.name} and {high.path.name}"
    if step < max(UNEVEN * usual, 1e-3):
        raise SourceError(f"{folder.name}: {names} lie at one place, {low.height:g} mm; leave one out")
    if abs(step - usual) > UNEVEN * usual:
        lacking = round(step / usual) - 1
        what = "slices lie unevenly" if lacking < 1 else f"{lacking} slice{'s' * (lacking > 1)} missing"
        apart = f"which lie {step:g} mm apart, others {usual:g} mm"
        raise SourceError(f"{folder.name}: {what} between {names}, {apart}; bring all slices of the series")


def _kind(slices: Sequence[Slice]) -> np.dtype:
    least, most = min(each.least for each in slices), max(each.most for each in slices)
    holding = [kind for kind in KINDS if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max]
    is_whole = all(each.is_whole for each in slices) and math.isfinite(most - least)
    return np.dtype(holding[0] if holding and is_whole else np.float32)


def _decoded(each: Slice, dtype: np.dtype) -> np.ndarray:
    """The values (rows, columns) of a slice, rescaled as it says."""
    itk = simple_itk()
    try:
        values = itk.GetArrayFromImage(itk.ReadImage(str(each.path), imageIO="GDCMImageIO"))
    except RuntimeError as error:
        raise SourceError(f"{each.path.name} cannot be decoded ({in_short(error)}); {AGAIN}") from error
    return values.reshape(each.shape).astype(dtype)
