import gzip
import json
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rasterio.features import rasterize
from shapely.geometry import shape

import data.writers.geojson as geojson
from data.stitching.probability_map import Frame
from data.writers.geojson import compressed_path, geojson_file
from data.writers.objects_csv import describe_object
from tests.objects import find_in_strips, geometry

CLASSES = ("glomerulus", "tubule \u00b5", "vessel")
MASKS = npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))
RING = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.uint8)


def write(path, mask, rows=3, spacing_um=(0.5, 0.5), **options):
    frame = Frame((0, 0), mask.shape, mask.shape, CLASSES, spacing_um)
    with geojson_file(path, **options) as add:
        for found in find_in_strips(mask, rows, lambda runs: 255 * (runs.stops - runs.starts)):
            add(found, describe_object(found, "case", frame))
    return path


def features(path):
    return json.loads(path.read_text(encoding="ascii"))["features"]


def masked(collection, shape_px):
    """The mask of features by their class names, as another program would read them."""
    mask = np.zeros(shape_px, np.uint8)
    for feature in collection:
        own = rasterize([feature["geometry"]], shape_px) > 0
        mask[own] = 1 + CLASSES.index(feature["properties"]["classification"]["name"])
    return mask


def test_a_feature_field_by_field_as_qupath_reads_it(tmp_path):
    text = write(tmp_path / "a.geojson", RING[:3]).read_text()
    collection = json.loads(text)
    assert set(collection) == {"type", "features"}
    assert collection["type"] == "FeatureCollection"
    (feature,) = collection["features"]
    assert list(feature) == ["type", "id", "geometry", "properties"]
    assert feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    assert feature["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]], [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]],
    }
    assert feature["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "glomerulus", "color": [0, 158, 115]},  # QuPath wants both of them
        "isLocked": False,
        "measurements": {"Mean probability": 1.0, "Area um^2": 2.0},
    }


def test_an_object_of_two_polygons_is_a_multipolygon(tmp_path):
    (feature,) = features(write(tmp_path / "a.geojson", RING))
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert [len(rings) for rings in feature["geometry"]["coordinates"]] == [2, 1]
    assert shape(feature["geometry"]).is_valid


def test_each_feature_is_a_line(tmp_path):
    lines = write(tmp_path / "a.geojson", np.array([[1, 0, 2, 0, 3]], np.uint8)).read_text().splitlines()
    assert len(lines) == 3 + 2
    assert [json.loads(line.rstrip(","))["type"] for line in lines[1:-1]] == ["Feature"] * 3


def test_no_object_is_a_valid_collection(tmp_path):
    assert features(write(tmp_path / "a.geojson", np.zeros((3, 4), np.uint8))) == []


def test_objects_are_detections_where_asked(tmp_path):
    (feature,) = features(write(tmp_path / "a.geojson", RING, object_type="detection"))
    assert feature["properties"]["objectType"] == "detection"


def test_without_a_pixel_size_areas_are_in_pixels(tmp_path):
    (feature,) = features(write(tmp_path / "a.geojson", RING, spacing_um=None))
    assert feature["properties"]["measurements"] == {"Mean probability": 1.0, "Area px^2": 9}


@settings(deadline=None, max_examples=60)
@given(MASKS)
def test_mask_to_geojson_to_mask_to_geojson_changes_nothing(tmp_path_factory, mask):
    path = tmp_path_factory.mktemp("g") / "a.geojson"
    collection = features(write(path, mask))
    np.testing.assert_array_equal(masked(collection, mask.shape), mask)
    for feature in collection:
        found = shape(feature["geometry"])
        assert found.is_valid
        assert found.geom_type == feature["geometry"]["type"]
    again = write(path.with_name("b.geojson"), masked(collection, mask.shape), rows=1)
    assert again.read_bytes() == path.read_bytes()


def test_large_files_are_compressed_and_equal_from_run_to_run(tmp_path, monkeypatch):
    path = write(tmp_path / "a.geojson", RING)
    plain = path.read_bytes()
    monkeypatch.setattr(geojson, "LARGEST_PLAIN", 100)
    write(path, RING)
    first = compressed_path(path).read_bytes()
    assert gzip.decompress(first) == plain
    assert not path.exists()
    write(path, RING)
    assert compressed_path(path).read_bytes() == first
    monkeypatch.undo()
    write(path, RING)
    assert [each.name for each in tmp_path.iterdir()] == ["a.geojson"]


def disk(radius):
    rows, columns = np.ogrid[: 2 * radius + 3, : 2 * radius + 3]
    return ((rows - radius - 1) ** 2 + (columns - radius - 1) ** 2 <= radius**2).astype(np.uint8)


def test_a_tolerance_leaves_out_corners_and_moves_no_outline_further(tmp_path):
    mask = disk(30)
    (exact,) = features(write(tmp_path / "a.geojson", mask))
    (simple,) = features(write(tmp_path / "b.geojson", mask, tolerance_px=1.5))
    one, other = (shape(each["geometry"]) for each in (exact, simple))
    assert shapely.get_num_coordinates(other) < shapely.get_num_coordinates(one) / 3
    assert one.hausdorff_distance(other) <= 1.5
    assert other.is_valid


@settings(deadline=None, max_examples=60)
@given(MASKS, st.sampled_from([0.5, 1.5, 5.0]))
def test_simpler_outlines_are_valid_and_keep_every_part(mask, tolerance):
    for found in find_in_strips(mask, 4):
        polygons = geojson.simplified(found.polygons, tolerance)
        assert len(polygons) == len(found.polygons)
        assert geometry(polygons).is_valid


def test_a_file_that_is_not_finished_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), geojson_file(tmp_path / "a.geojson"):
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
