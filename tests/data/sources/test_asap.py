from xml.etree import ElementTree

import numpy as np
import pytest

from data.sources.asap import read_asap
from data.sources.source import SourceError
from tests.outlines import polygons_of, write_asap


def annotation(points, kind="Polygon", group="Tumor", name="Annotation 0", order=None):
    order = order or range(len(points))
    coordinates = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}" />' for i, (x, y) in zip(order, points, strict=True)
    )
    head = f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
    return f"{head}<Coordinates>{coordinates}</Coordinates></Annotation>"


def read(*annotations):
    text = f"<ASAP_Annotations><Annotations>{''.join(annotations)}</Annotations>"
    groups = '<AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#00ff00"><Attributes/></Group>'
    return list(read_asap(ElementTree.fromstring(f"{text}{groups}</AnnotationGroups></ASAP_Annotations>")))


SQUARE = [(1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 5.0)]


def rings(outline):
    return [[ring.tolist() for ring in polygon] for polygon in outline.polygons]


@pytest.mark.parametrize("kind", ["Polygon", "Spline", "Rectangle"])
def test_areas_are_outlined_by_their_points(kind):
    (outline,) = read(annotation(SQUARE, kind))
    assert (outline.name, outline.class_name) == ("object 1 (Annotation 0)", "Tumor")
    assert rings(outline) == [[[list(point) for point in SQUARE]]]


def test_two_corners_make_a_rectangle():
    (outline,) = read(annotation([(1, 2), (5, 4)], "Rectangle"))
    assert rings(outline) == [[[[1, 2], [5, 2], [5, 4], [1, 4]]]]


@pytest.mark.parametrize("kind", ["Dot", "PointSet", "Measurement", "None"])
def test_points_and_rulers_have_no_area(kind):
    assert read(annotation([(1, 1)], kind))[0].polygons == []


def test_the_order_of_the_points_is_the_stated_one():
    (outline,) = read(annotation([SQUARE[i] for i in (2, 0, 3, 1)], order=[2, 0, 3, 1]))
    assert rings(outline) == [[[list(point) for point in SQUARE]]]


def test_decimal_commas_are_read():
    (outline,) = read(annotation([("1,5", "2,25"), ("3", "4"), ("5", "6")]))
    assert rings(outline)[0][0][0] == [1.5, 2.25]


def test_no_group_is_no_class():
    assert [each.class_name for each in read(annotation(SQUARE, group="None"), annotation(SQUARE, group=""))] == [
        "",
        "",
    ]


def test_the_object_at_fault_is_named():
    with pytest.raises(SourceError, match=r"object 2 \(odd\) is of type 'Cloud'; known are \["):
        read(annotation(SQUARE), annotation(SQUARE, "Cloud", name="odd"))
    with pytest.raises(SourceError, match=r"object 1 \(odd\) has the coordinate 'x', which is no number"):
        read(annotation([("x", 1)], name="odd"))


def test_an_annotation_without_coordinates_has_no_area():
    (outline,) = read('<Annotation Type="Polygon" PartOfGroup="Tumor"/>')
    assert [ring.shape for ring in outline.polygons[0]] == [(0, 2)]


def test_every_object_of_a_written_file_comes_back(tmp_path):
    mask = (np.random.default_rng(0).random((20, 30)) < 0.3).astype(np.uint8)
    objects = polygons_of(mask, ["a"])
    found = list(read_asap(ElementTree.parse(write_asap(tmp_path / "a.xml", objects)).getroot()))
    assert len(found) == len(objects) + sum(len(polygon.interiors) for _, polygon in objects)
    np.testing.assert_array_equal(found[0].polygons[0][0], objects[0][1].exterior.coords[:-1])
