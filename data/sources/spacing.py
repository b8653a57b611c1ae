"""The pixel size that a TIFF states: in OME metadata, in a scanner's description or in its resolution tags."""

import math
import re

import tifffile

Spacing = tuple[float, float]  # um along a row's and a column's axis: height, then width of a pixel

TAG_UNITS = {2: 25_400.0, 3: 10_000.0}  # um in ResolutionUnit: inch, centimetre
OME_UNITS = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
PLAUSIBLE_UM = (0.02, 30.0)  # a size outside is that of a screen or a printer (72 or 300 dpi), not of a microscope
PHILIPS_MM = re.compile(r'Name="DICOM_PIXEL_SPACING"[^>]*>([^<]+)<')
APERIO_MPP = re.compile(r"\|\s*MPP\s*=\s*(\d+(?:[.,]\d+)?)")


def plausible(row: float, column: float) -> Spacing | None:
    """The pixel size if both sides can be those of a microscope, else None."""
    sizes = (row, column)
    return sizes if all(math.isfinite(um) and PLAUSIBLE_UM[0] <= um <= PLAUSIBLE_UM[1] for um in sizes) else None


def read_spacing_um(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Spacing | None:
    """Pixel size in um from OME metadata, a scanner's text or a page's tags, the first plausible one; else None."""
    return _ome(file) or _aperio(page) or _philips(file) or _tags(page)


def _ome(file: tifffile.TiffFile) -> Spacing | None:
    if not file.is_ome:
        return None
    pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    pixels = (pixels[0] if isinstance(pixels, list) else pixels)["Pixels"]
    sides = [(pixels.get(f"PhysicalSize{axis}", 0), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "YX"]
    return plausible(*(_number(size) * OME_UNITS.get(unit, 0.0) for size, unit in sides))


def _aperio(page: tifffile.TiffPage) -> Spacing | None:
    found = APERIO_MPP.search(page.description) if page.description.startswith("Aperio") else None
    um = float(found[1].replace(",", ".")) if found else 0.0
    return plausible(um, um)


def _philips(file: tifffile.TiffFile) -> Spacing | None:
    """The least of the pixel sizes that are stated, one a level, in mm: that of level 0."""
    found = PHILIPS_MM.findall(file.philips_metadata or "")
    texts = (text.replace("&quot;", " ").replace('"', " ").split() for text in found)
    sizes = [(_number(pair[0]), _number(pair[1])) for pair in texts if len(pair) == 2]
    return plausible(*(1000 * mm for mm in min(sizes))) if sizes else None


def _tags(page: tifffile.TiffPage) -> Spacing | None:
    unit = TAG_UNITS.get(page.tags["ResolutionUnit"].value) if "ResolutionUnit" in page.tags else None
    sides = [_fraction(page.tags.get(name)) for name in ("YResolution", "XResolution")]
    if unit is None or any(0 in side for side in sides):
        return None
    return plausible(*(unit * below / above for above, below in sides))


def _fraction(tag: tifffile.TiffTag | None) -> tuple[int, int]:
    """The fraction that a tag holds, or zeros where it holds none."""
    try:
        above, below = (int(number) for number in tag.value[:2]) if tag else (0, 0)
    except (TypeError, ValueError):
        return 0, 0
    return above, below


def _number(text: object) -> float:
    """The number that stands in a file's text, or NaN."""
    try:
        return float(str(text))
    except ValueError:
        return math.nan
