"""XML label files, without what can make a small file huge or read another one."""

import math
from pathlib import Path
from xml.etree import ElementTree

from data.sources.source import SourceError


class _Builder(ElementTree.TreeBuilder):
    """Builds the elements and refuses a document type, the only place where entities can be declared."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise SourceError(f"declares a document type ({name}), which label files have no use for")


def read_xml(path: Path) -> ElementTree.Element:
    """The root of a file; raises SourceError."""
    try:
        return ElementTree.fromstring(path.read_bytes().lstrip(), ElementTree.XMLParser(target=_Builder()))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"is no readable XML: {error}") from error


def number(text: str | None) -> float:
    """A finite number, also with a decimal comma, as some programs write it; raises SourceError."""
    try:
        value = float((text or "").replace(",", ".").replace("_", "?"))  # 1_0 is ten to Python alone
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(f"has the coordinate {text!r}, which is no number")
    return value


def vertices(element: ElementTree.Element | None) -> list[tuple[float, float]]:
    """(x, y) of the children of an element, which have attributes X and Y; none where there is no element."""
    return [] if element is None else [(number(child.get("X")), number(child.get("Y"))) for child in element]
