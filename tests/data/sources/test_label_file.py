import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from data.cases import Case
from data.patches.grid import whole
from data.sources.class_names import ClassNames
from data.sources.coco import list_images
from data.sources.file_name import ending, stem
from data.sources.label_file import LABEL_READERS, read_outlines
from data.sources.labels import open_labels
from data.sources.source import SourceError
from tests.outlines import coco, feature, paint, polygons_of, write_asap, write_geojson, write_imagescope

CLASSES = ["a", "b"]
SIZE = (40, 50)


@pytest.fixture
def objects():
    """Objects of two classes with holes, some with islands, along the edges of pixels."""
    coarse = np.random.default_rng(5).choice([0, 1, 1, 1, 2], (10, 13)).astype(np.uint8)
    return polygons_of(coarse.repeat(4, 0).repeat(4, 1)[: SIZE[0], : SIZE[1]].copy(), CLASSES)


def write_coco(path, objects):
    path.write_text(json.dumps(coco({"a.tif": (objects, SIZE)}, CLASSES)))
    return path


WRITERS = {
    "a.geojson": write_geojson,
    "a.json": write_geojson,
    "b.json": write_coco,
    "a.xml": write_imagescope,
}


def read(path, names=None, size=SIZE):
    case = Case("a", Path("slides/a.tif"), path)
    with open_labels(case, size, names or ClassNames(CLASSES), lambda values: values) as labels:
        return labels.read(whole(size))[..., 0]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_mask_that_another_implementation_paints(tmp_path, objects, name):
    assert any(polygon.interiors for _, polygon in objects)
    np.testing.assert_array_equal(read(WRITERS[name](tmp_path / name, objects)), paint(objects, CLASSES, SIZE))


def test_asap_has_holes_as_objects_of_a_class_that_is_background(tmp_path):
    frame = shapely.box(2, 2, 30, 30).difference(shapely.box(10, 10, 20, 20))
    objects = [("a", frame), ("b", shapely.box(25, 25, 40, 38))]
    names = ClassNames(CLASSES, {"hole": "background"})
    found = read(write_asap(tmp_path / "a.xml", objects), names)
    np.testing.assert_array_equal(found, paint(objects, CLASSES, SIZE))


def test_from_a_mask_to_a_file_and_back_and_again_is_the_identity(tmp_path, objects):
    mask = read(write_geojson(tmp_path / "a.geojson", objects))
    again = read(write_geojson(tmp_path / "b.geojson", polygons_of(mask, CLASSES)))
    np.testing.assert_array_equal(again, mask)


@pytest.mark.parametrize("wrap", [lambda features: features, lambda features: {"features": features}])
def test_lists_and_collections_of_features_are_one(tmp_path, objects, wrap):
    (tmp_path / "a.json").write_text(json.dumps(wrap([feature(*each) for each in objects])))
    np.testing.assert_array_equal(read(tmp_path / "a.json"), paint(objects, CLASSES, SIZE))


def test_a_single_feature_is_an_object(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(feature("b", shapely.box(1, 1, 3, 4))))
    assert read(tmp_path / "a.json").sum() == 2 * 6


def test_gzipped_geojson_is_read(tmp_path, objects):
    data = write_geojson(tmp_path / "a.geojson", objects).read_bytes()
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(data))
    np.testing.assert_array_equal(read(tmp_path / "a.geojson.gz"), paint(objects, CLASSES, SIZE))


def test_one_file_for_many_images_gives_each_its_own(objects):
    content = coco({"a.tif": (objects, SIZE), "b.tif": ([], SIZE)}, CLASSES)
    first, second = list_images(content, Path("coco.json")).images
    np.testing.assert_array_equal(read(first), paint(objects, CLASSES, SIZE))
    assert not read(second).any()


@pytest.mark.parametrize("text", ['{"features": []}', "[]", "<Annotations/>", "<ASAP_Annotations/>"])
def test_a_file_without_objects_says_that_there_are_none(tmp_path, text):
    path = tmp_path / ("a.xml" if text.startswith("<") else "a.json")
    path.write_text(text)
    assert not read(path).any()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.geojson", "", r"^a\.geojson holds no JSON object and no list$"),
        ("a.geojson", '{"type": "Point"}', r"^a\.geojson holds neither GeoJSON features nor COCO .* \['type'\]$"),
        ("a.geojson", '{"features": [{"geometry": null}, 5]}', r"^a\.geojson object 2 is no feature"),
        ("a.json", '{"annotations": []}', r"^a\.json is no COCO file .*'categories'"),
        ("a.xml", "<svg/>", r"^a\.xml has the root element 'svg'; known are \['ASAP_Annotations', 'Annotations'\]$"),
        ("a.xml", "no xml", r"^a\.xml is no readable XML"),
    ],
)
def test_a_file_of_no_known_kind_is_refused_by_its_name(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / name)


def test_a_wrong_object_is_named_with_its_file(tmp_path):
    path = write_geojson(tmp_path / "a.geojson", [("a", shapely.box(0, 0, 9, 9)), ("A", shapely.box(0, 0, 9, 9))])
    with pytest.raises(SourceError, match=r"^a\.geojson object 2 \(PathAnnotationObject\) has class 'A'; DATASETS"):
        read(path)


def test_a_coco_file_of_other_images_or_another_size_is_refused(tmp_path, objects):
    (tmp_path / "b.json").write_text(json.dumps(coco({"c.tif": (objects, SIZE)}, CLASSES)))
    with pytest.raises(SourceError, match=r"b\.json lists no image a\.tif, but \['c\.tif'\]"):
        read(tmp_path / "b.json")
    with pytest.raises(SourceError, match=r"b\.json says that a\.tif is \(40, 50\); it is \(40, 51\)"):
        read(write_coco(tmp_path / "b.json", objects), size=(40, 51))


def test_outlines_need_two_axes(tmp_path):
    with pytest.raises(SourceError, match=r"a\.geojson holds outlines, which need an image of 2 axes; a\.tif has 3"):
        read(write_geojson(tmp_path / "a.geojson", []), size=(4, 5, 6))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.geojson", ("a", ".geojson")),
        ("a.b.GeoJSON.GZ", ("a.b", ".geojson.gz")),
        ("a.tif", ("a", ".tif")),
        ("a.gz", ("a", ".gz")),
        ("a", ("a", "")),
        ("a.1.xml", ("a.1", ".xml")),
    ],
)
def test_a_name_is_its_stem_and_its_ending(name, parts):
    assert (stem(Path(name)), ending(Path(name))) == parts


def test_every_reader_has_an_ending_in_small_letters():
    assert [each for each in LABEL_READERS if each != ending(Path(f"x{each}"))] == []
    assert (
        list(read_outlines(list_images(coco({"a.tif": ([], SIZE)}, CLASSES), Path("c")).images[0], Path("a"), SIZE))
        == []
    )


def test_a_file_that_is_nested_too_deep_is_named(tmp_path, monkeypatch):
    """What of it the parser itself takes depends on how deep the program is at that moment."""
    path = tmp_path / "a.geojson"
    path.touch()
    monkeypatch.setitem(LABEL_READERS, ".geojson", lambda *given: deeper(0))
    with pytest.raises(SourceError, match=r"a\.geojson holds lists in lists, too deep"):
        open_labels(Case("a", tmp_path / "a.tiff", path), (4, 4), ClassNames(["a"]), None)


def deeper(level):
    return deeper(level + 1)
