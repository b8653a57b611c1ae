"""What a TIFF file claims and what to believe would cost time or memory far beyond its size, or open other files."""

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from data.sources.source import SourceError

MOST_PAGES = 1000  # of one file; slides have some dozens, and each may cost as long as all that are before it
MOST_PLANES = 10**6  # that OME metadata may name: a place for each is reserved, whether there is one or not
PLANES = ("PlaneCount", "NumPlanes", "FirstZ", "FirstC", "FirstT", "IFD")


def refuse_claims(file: tifffile.TiffFile, path: Path) -> None:
    """Raise SourceError where a file has more pages, smaller copies or planes than a slide can have."""
    if len(file.pages) > MOST_PAGES:  # which ends where directories go round in a circle
        raise SourceError(
            f"{path.name} has more than {MOST_PAGES} pages; save the one that is meant as a file of its own"
        )
    for page in file.pages:
        if isinstance(page, tifffile.TiffPage):
            _refuse_page(page, path)
    if file.is_ome:
        _refuse_ome(file.ome_metadata or "", path)


def _refuse_page(page: tifffile.TiffPage, path: Path) -> None:
    if len(page.subifds or ()) > MOST_PAGES:
        raise SourceError(f"{path.name} has more than {MOST_PAGES} smaller copies of a page")
    segment = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    sides = (page.imagelength, page.imagewidth, *segment)
    if any(not isinstance(side, int) or side < 1 for side in sides):  # a tag may hold a fraction or several numbers
        raise SourceError(f"{path.name} declares {sides[:2]} pixels in tiles or strips of {segment}")


def _refuse_ome(metadata: str, path: Path) -> None:
    root = ElementTree.fromstring(metadata)
    named = [element.text for element in root.iter() if element.tag.endswith("UUID")]
    if len({name for name in [root.get("UUID"), *named] if name}) > 1:
        raise SourceError(f"{path.name} is one of several files of an OME image; save it as one file")
    for element in root.iter():
        given = element.attrib
        claimed = [int(given[name]) for name in PLANES if name in given]
        if "SizeX" in given:
            sizes = [int(given.get(name, 1)) for name in ("SizeZ", "SizeC", "SizeT")]
            claimed.append(sizes[0] * sizes[1] * sizes[2])
        if "Along" in element.tag and "Start" in given:
            claimed.append(int((float(given["End"]) - float(given["Start"])) / float(given.get("Step", 1))))
        if max(claimed, default=0) > MOST_PLANES:
            raise SourceError(
                f"{path.name} claims {max(claimed)} planes in its OME metadata; at most {MOST_PLANES} are read"
            )
