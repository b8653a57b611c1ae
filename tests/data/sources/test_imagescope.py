from xml.etree import ElementTree

import numpy as np
import pytest
import shapely

from data.patches.grid import whole
from data.sources.class_names import ClassNames
from data.sources.imagescope import class_name, read_imagescope
from data.sources.polygons import outline_labels
from data.sources.source import SourceError

SQUARE = [(1, 1), (7, 1), (7, 7), (1, 7)]


def region(points, kind="0", negative="0", vertices=True):
    inside = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    inside = f"<Attributes/><Vertices>{inside}</Vertices>" if vertices else ""
    return f'<Region Id="9" Type="{kind}" Zoom="1" Text="" NegativeROA="{negative}">{inside}</Region>'


def layer(*regions, name="tumor", attributes='<Attribute Name="Description" Id="0" Value=""/>', colour="65280"):
    head = f'<Annotation Id="1" Name="{name}" ReadOnly="0" Type="4" LineColor="{colour}">'
    inside = f"<RegionAttributeHeaders/>{''.join(regions)}"
    return f"{head}<Attributes>{attributes}</Attributes><Regions>{inside}</Regions></Annotation>"


def read(*layers):
    return list(read_imagescope(ElementTree.fromstring(f"<Annotations>{''.join(layers)}</Annotations>")))


def mask(*layers, size=(9, 9)):
    return outline_labels(read(*layers), size, ClassNames(["tumor", "necrosis"]), "a.xml").read(whole(size))[..., 0]


def test_a_region_is_outlined_by_its_vertices():
    (outline,) = read(layer(region(SQUARE)))
    assert (outline.name, outline.class_name) == ("layer 1, region 1", "tumor")
    assert [[ring.tolist() for ring in rings] for rings in outline.polygons] == [[[list(point) for point in SQUARE]]]


def test_a_negative_region_is_a_hole_in_those_of_its_layer_alone():
    hole = region([(3, 3), (5, 3), (5, 5), (3, 5)], negative="1")
    other = layer(region([(3, 3), (4, 3), (4, 4), (3, 4)]), name="necrosis")
    found = mask(layer(hole, region(SQUARE)), other)
    assert (found == 1).sum() == 36 - 4
    assert found[3:5, 3:5].tolist() == [[2, 0], [0, 0]]


def test_a_hole_elsewhere_is_not_carried_along():
    far = region([(30, 30), (50, 30), (50, 50)], negative="1")
    assert read(layer(region(SQUARE), far))[0].removed == []


def test_a_box_has_four_corners_or_two():
    assert mask(layer(region([(1, 2), (4, 2), (4, 5), (1, 5)], "1"))).sum() == 9
    assert mask(layer(region([(1, 2), (4, 5)], "1"))).sum() == 9


def test_an_ellipse_fills_its_box():
    for corners in ([(10, 20), (90, 60)], [(10, 20), (90, 20), (90, 60), (10, 60)]):
        (outline,) = read(layer(region(corners, "2")))
        polygon = shapely.Polygon(outline.polygons[0][0])
        assert polygon.bounds == pytest.approx((10, 20, 90, 60), abs=0.1)
        assert polygon.area == pytest.approx(np.pi * 40 * 20, rel=0.01)


@pytest.mark.parametrize("kind", ["3", "4", "5"])
def test_arrows_and_rulers_have_no_area(kind):
    assert read(layer(region([(1, 1), (5, 5)], kind)))[0].polygons == []


def test_a_region_without_vertices_has_no_area():
    assert read(layer(region([], vertices=False)))[0].polygons == []
    assert not mask(layer(region([]), region([], negative="1"))).any()


@pytest.mark.parametrize(
    ("name", "attributes", "wanted"),
    [
        ("tumor", '<Attribute Name="Description" Value="other"/>', "tumor"),
        ("", '<Attribute Name="Description" Id="0" Value="tumor"/>', "tumor"),
        ("", '<Attribute Name="Epithelial" Id="0" Value=""/>', "Epithelial"),
        ("", '<Attribute Name="Description" Value=""/><Attribute Name="Epithelial" Value=""/>', "Epithelial"),
        ("", '<Attribute Name="Description" Value=""/>', "#00ff00"),
        ("", "", "#00ff00"),
    ],
)
def test_the_class_is_the_first_of_name_description_attribute_and_colour(name, attributes, wanted):
    assert class_name(ElementTree.fromstring(layer(name=name, attributes=attributes))) == wanted


@pytest.mark.parametrize(
    ("number", "colour"),
    [("255", "#ff0000"), ("65280", "#00ff00"), ("16711680", "#0000ff"), ("-1", "#ffffff"), ("", ""), ("red", "")],
)
def test_windows_colours_have_red_in_the_lowest_byte(number, colour):
    assert class_name(ElementTree.fromstring(layer(name="", colour=number))) == colour


def test_an_unknown_type_and_a_bad_number_are_refused_with_their_region():
    with pytest.raises(SourceError, match="layer 2, region 1 is of type '8'"):
        read(layer(), layer(region(SQUARE, "8")))
    with pytest.raises(SourceError, match="layer 1, region 2 has the coordinate 'x'"):
        read(layer(region(SQUARE), region([("x", 1)])))
