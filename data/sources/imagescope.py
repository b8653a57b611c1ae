"""ImageScope (Aperio) XML: layers of regions; a layer is a class, a negative region a hole in those of its layer."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from data.sources.outline import Outline, as_is, as_ring, ellipse, rectangle
from data.sources.source import SourceError
from data.sources.xml_file import vertices

SHAPES = {"0": as_is, "1": rectangle, "2": ellipse}
WITHOUT_AREA = {"3", "4", "5"}  # arrows, rulers and counters
COLOUR = re.compile("-?[0-9]{1,10}")  # 32 bits, with a sign or without
NO_NAME = "Description"  # the attribute that every layer has; others are named after a class


def read_imagescope(root: Element) -> Iterator[Outline]:
    """The regions of all layers, less the negative ones of their layer; raises SourceError naming the region."""
    for number, layer in enumerate(root.iter("Annotation"), start=1):
        regions = list(enumerate(layer.iterfind("Regions/Region"), start=1))
        rings = {count: _ring(region, f"layer {number}, region {count}") for count, region in regions}
        negative = {count for count, region in regions if region.get("NegativeROA") == "1"}
        holes = [rings[count] for count in sorted(negative)]
        for count in rings.keys() - negative:
            ring = rings[count]
            polygons = [[ring]] if len(ring) else []
            removed = [[hole] for hole in holes if _may_touch(ring, hole)]
            yield Outline(f"layer {number}, region {count}", class_name(layer), polygons, removed)


def _ring(region: Element, name: str) -> np.ndarray:
    kind = region.get("Type") or "0"
    if kind in WITHOUT_AREA:
        return as_ring([])
    try:
        if kind not in SHAPES:
            raise SourceError(f"is of type {kind!r}; known are {sorted([*SHAPES, *WITHOUT_AREA])}")
        return SHAPES[kind](as_ring(vertices(region.find("Vertices"))))
    except SourceError as error:
        raise SourceError(f"{name} {error}") from error


def _may_touch(ring: np.ndarray, other: np.ndarray) -> bool:
    """Whether the boxes of two rings meet."""
    if not (len(ring) and len(other)):
        return False
    return bool((ring.min(0) <= other.max(0)).all() and (other.min(0) <= ring.max(0)).all())


def class_name(layer: Element) -> str:
    """The name of a layer or else the text of its description, the name of an attribute, its colour as #rrggbb."""
    attributes = {each.get("Name") or "": each.get("Value") or "" for each in layer.iterfind("Attributes/Attribute")}
    description = attributes.pop(NO_NAME, "")
    named = [layer.get("Name"), description, *attributes]
    return next((name for name in named if name), "") or _colour(layer.get("LineColor"))


def _colour(text: str | None) -> str:
    """A colour as #rrggbb; Windows keeps red in the lowest byte."""
    if not COLOUR.fullmatch(text or ""):
        return ""
    blue_green_red = int(text or "") & 0xFFFFFF
    return "#" + blue_green_red.to_bytes(3, "little").hex()
