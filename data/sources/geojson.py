"""GeoJSON as QuPath writes it: features with a polygon and a classification."""

from collections.abc import Iterable, Iterator

from data.sources.outline import Outline, Rings, as_ring
from data.sources.source import SourceError

WITHOUT_AREA = {"Point", "MultiPoint", "LineString", "MultiLineString"}


def read_geojson(features: Iterable[object]) -> Iterator[Outline]:
    """The objects of features, counted from 1; raises SourceError naming the one that is no feature."""
    for number, feature in enumerate(features, start=1):
        yield _read_feature(feature, f"object {number}")


def _read_feature(feature: object, name: str) -> Outline:
    if not isinstance(feature, dict) or "geometry" not in feature:
        raise SourceError(f"{name} is no feature with a geometry")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise SourceError(f"{name} has properties that are no object: {str(properties)[:60]}")
    own = properties.get("name") or feature.get("id")
    name += f" ({own})" if own else ""
    try:
        return Outline(name, _class_name(properties.get("classification")), _polygons(feature["geometry"]))
    except SourceError as error:
        raise SourceError(f"{name} {error}") from error


def _class_name(classification: object) -> str:
    """The name of a class: a text, or an object with a name or with the names that QuPath joins."""
    if isinstance(classification, dict):
        names = classification.get("names") or []
        if not isinstance(names, list):
            raise SourceError(f"has class names that are no list: {str(names)[:60]}")
        return str(classification.get("name") or ": ".join(map(str, names)))
    return str(classification or "")


def _polygons(geometry: object) -> list[Rings]:
    """Rings of each polygon of a geometry; none for points and lines."""
    if geometry is None:
        return []
    if not isinstance(geometry, dict):
        raise SourceError("has a geometry that is no object")
    kind = str(geometry.get("type"))
    if kind in WITHOUT_AREA:
        return []
    try:
        if kind == "GeometryCollection":
            return [polygon for each in geometry["geometries"] for polygon in _polygons(each)]
        members = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[kind]
        if members is None or None in members:
            raise TypeError("null is no list of rings")
        return [[as_ring(ring) for ring in rings] for rings in members if rings]
    except RecursionError as error:
        raise SourceError("has collections within collections without end") from error
    except (KeyError, TypeError) as error:
        raise SourceError(f"has a geometry of type {kind!r} that cannot be read") from error
