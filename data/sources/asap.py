"""ASAP XML: annotations of a type, each part of a group that is its class."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from data.sources.outline import Outline, as_is, as_ring, rectangle
from data.sources.source import SourceError
from data.sources.xml_file import number, vertices

# a spline is taken by its points, as ASAP does when it makes masks: they lie close together
SHAPES = {"Polygon": as_is, "Spline": as_is, "Rectangle": rectangle}
WITHOUT_AREA = {"Dot", "PointSet", "Measurement", "None"}
NO_GROUP = "None"


def read_asap(root: Element) -> Iterator[Outline]:
    """The objects of a file, counted from 1; raises SourceError naming the one that cannot be read."""
    for count, annotation in enumerate(root.iter("Annotation"), start=1):
        own = annotation.get("Name")
        yield _read_annotation(annotation, f"object {count} ({own})" if own else f"object {count}")


def _read_annotation(annotation: Element, name: str) -> Outline:
    group, kind = annotation.get("PartOfGroup"), annotation.get("Type")
    class_name = group if group and group != NO_GROUP else ""
    try:
        return Outline(name, class_name, [] if kind in WITHOUT_AREA else [[_ring(annotation, kind or "")]])
    except SourceError as error:
        raise SourceError(f"{name} {error}") from error


def _ring(annotation: Element, kind: str) -> np.ndarray:
    if kind not in SHAPES:
        raise SourceError(f"is of type {kind!r}; known are {sorted([*SHAPES, *WITHOUT_AREA])}")
    coordinates = annotation.find("Coordinates")
    if coordinates is None:
        return as_ring([])
    order = [number(point.get("Order") or "0") for point in coordinates]
    return SHAPES[kind](as_ring(vertices(coordinates))[np.argsort(order, kind="stable")])
