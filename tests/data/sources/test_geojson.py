import json

import numpy as np
import pytest
import shapely

from data.sources.geojson import read_geojson
from data.sources.source import SourceError
from tests.outlines import feature

SQUARE = [[1, 1], [5, 1], [5, 5], [1, 5], [1, 1]]
HOLE = [[2, 2], [3, 2], [3, 3], [2, 2]]


def one(geometry, properties=None, **rest):
    (outline,) = read_geojson([{"type": "Feature", "geometry": geometry, "properties": properties, **rest}])
    return outline


def lists(outline):
    return [[ring.tolist() for ring in rings] for rings in outline.polygons]


def test_a_polygon_has_its_outline_then_its_holes():
    assert lists(one({"type": "Polygon", "coordinates": [SQUARE, HOLE]})) == [[SQUARE, HOLE]]


def test_a_multipolygon_is_one_object_of_several_areas():
    assert lists(one({"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [HOLE]]})) == [[SQUARE, HOLE], [HOLE]]


def test_a_collection_gives_its_polygons():
    members = [{"type": "Polygon", "coordinates": [SQUARE]}, {"type": "Point", "coordinates": [1, 2]}]
    assert lists(one({"type": "GeometryCollection", "geometries": members})) == [[SQUARE]]


@pytest.mark.parametrize("kind", ["Point", "MultiPoint", "LineString", "MultiLineString"])
def test_points_and_lines_have_no_area(kind):
    assert one({"type": kind, "coordinates": [1, 2]}).polygons == []
    assert one(None).polygons == []


def test_heights_are_passed_over():
    assert lists(one({"type": "Polygon", "coordinates": [[[*point, 0] for point in SQUARE]]})) == [[SQUARE]]


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        ({"name": "glom", "color": [1, 2, 3]}, "glom"),
        ({"name": "glom", "colorRGB": -3670016}, "glom"),
        ({"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "Tumor: Positive"),
        ("glom", "glom"),
        (None, ""),
        ({}, ""),
        ({"name": None}, ""),
    ],
)
def test_the_class_in_every_form_that_qupath_has_written(classification, name):
    assert one(None, {"classification": classification}).class_name == name


def test_without_properties_there_is_no_class():
    assert one(None, None).class_name == ""
    assert next(read_geojson([{"geometry": None}])).class_name == ""


def test_an_object_is_called_by_its_place_and_its_name_or_id():
    assert one(None, {"name": "Glom 3"}, id="abc").name == "object 1 (Glom 3)"
    assert one(None, {}, id="abc").name == "object 1 (abc)"
    assert one(None).name == "object 1"


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (
            {"type": "Polygon", "coordinates": [[["a", 1], [2, 3]]]},
            r"coordinates that are no pairs of numbers: \[\['a'",
        ),
        ({"type": "Polygon", "coordinates": [[[1], [2], [3]]]}, "no pairs of numbers"),
        ({"type": "Polygon", "coordinates": [[1, 2, 3]]}, "no pairs of numbers"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3]]]}, "no pairs of numbers"),
        ({"type": "Polygon", "coordinates": [[[1, 10**400], [3, 4]]]}, "no pairs of numbers"),
        ({"type": "Polygon"}, "geometry of type 'Polygon' that cannot be read"),
        ({"type": "Polygon", "coordinates": 5}, "cannot be read"),
        ({"type": "Circle", "coordinates": []}, "geometry of type 'Circle'"),
        ({"type": ["Polygon"], "coordinates": []}, "cannot be read"),
        ([1], "geometry that is no object"),
    ],
)
def test_a_broken_geometry_is_refused_with_its_object(geometry, message):
    with pytest.raises(SourceError, match=r"^object 1 \(x\) .*" + message):
        one(geometry, id="x")


@pytest.mark.parametrize("thing", [5, None, [], {}, "text"])
def test_what_is_no_feature_is_refused_with_its_place(thing):
    with pytest.raises(SourceError, match="object 2 is no feature with a geometry"):
        list(read_geojson([feature("a", shapely.box(0, 0, 1, 1)), thing]))


def test_empty_rings_are_no_polygons():
    assert lists(one({"type": "MultiPolygon", "coordinates": [[], [SQUARE]]})) == [[SQUARE]]
    assert one({"type": "Polygon", "coordinates": []}).polygons == []
    assert lists(one({"type": "Polygon", "coordinates": [[]]})) == [[[]]]


def test_what_shapely_writes_comes_back():
    polygon = shapely.box(0, 0, 9, 9).difference(shapely.box(2, 3, 4, 5))
    text = json.dumps(feature("a", polygon))
    (outline,) = read_geojson([json.loads(text)])
    assert shapely.Polygon(outline.polygons[0][0], outline.polygons[0][1:]).equals(polygon)
    assert outline.polygons[0][0].dtype == np.float64
