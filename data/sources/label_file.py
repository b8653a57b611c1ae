"""Files of outlined objects of one image, told apart by their ending and then by what they hold."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from data.sources.asap import read_asap
from data.sources.coco import CocoFile, CocoImage, list_images, read_coco
from data.sources.file_name import ending
from data.sources.geojson import read_geojson
from data.sources.imagescope import read_imagescope
from data.sources.json_file import read_json
from data.sources.outline import Outline
from data.sources.source import SourceError
from data.sources.xml_file import read_xml

XML_READERS: dict[str, Callable[[Element], Iterator[Outline]]] = {
    "ASAP_Annotations": read_asap,
    "Annotations": read_imagescope,
}


def read_outlines(labels: Path | CocoImage, image: Path, shape: tuple[int, ...]) -> Iterable[Outline]:
    """The objects of an image of `shape`, from its own file or from its entry in one for many images.

    Raises SourceError, also while iterating.
    """
    if isinstance(labels, CocoImage):
        return read_coco(labels, shape)
    _require_readable(labels)
    return LABEL_READERS[ending(labels)](labels, image, shape)


def _require_readable(path: Path) -> None:
    if not path.is_file():  # a pipe would be waited for
        raise SourceError("is missing or no file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}") from error


def _read_json(path: Path, image: Path, shape: tuple[int, ...]) -> Iterable[Outline]:
    content = read_json(path)
    if not isinstance(content, dict):
        return read_geojson(content)
    if "annotations" in content:
        return _read_own_coco(list_images(content, path), image, shape)
    if content.get("type") != "Feature":
        raise SourceError(f"holds neither GeoJSON features nor COCO annotations, but {sorted(content)[:5]}")
    return read_geojson([content])


def _read_own_coco(file: CocoFile, image: Path, shape: tuple[int, ...]) -> Iterable[Outline]:
    own = file.find(image)
    if own is None:
        raise SourceError(f"lists no image {image.name}, but {[each.image for each in file.images[:3]]}")
    return read_coco(own, shape)


def _read_xml(path: Path, image: Path, shape: tuple[int, ...]) -> Iterable[Outline]:
    root = read_xml(path)
    if root.tag not in XML_READERS:
        raise SourceError(f"has the root element {root.tag!r}; known are {sorted(XML_READERS)}")
    return XML_READERS[root.tag](root)


LABEL_READERS: dict[str, Callable[[Path, Path, tuple[int, ...]], Iterable[Outline]]] = {
    ".geojson": _read_json,
    ".geojson.gz": _read_json,
    ".json": _read_json,
    ".json.gz": _read_json,
    ".xml": _read_xml,
}
