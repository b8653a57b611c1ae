"""What test_net.py writes, corrected as QuPath does it, is what tiles_creator.py cuts."""

import gzip
import json
import uuid

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from rasterio.features import rasterize

import tiles_creator
from data.patches.grid import whole
from data.stitching.mask import MaskView
from data.stitching.probability_map import Frame
from data.writers.products import CaseMask, Products
from data.writers.results import Results
from tests.maps import memory_map

CLASSES = ["gland", "vessel"]
SHAPE = (192, 256)


@pytest.fixture
def predicted(tmp_path):
    """The mask of a slide of two classes, with a hole and a corner where pixels touch, and its features."""
    values = np.zeros((2, 96, 128), np.uint8)
    values[0, 10:40, 10:40], values[0, 20:30, 20:30] = 220, 0
    values[0, 50:60, 60:70], values[0, 60:70, 70:80] = 255, 255
    values[1, 60:90, 90:120], values[1, 5:15, 100:120] = 180, 255
    probabilities = memory_map(values, CLASSES)
    probabilities.frame = Frame((0, 0), SHAPE, SHAPE, tuple(CLASSES), (0.5, 0.5))
    results = Results(tmp_path / "results")
    Products(["geojson"]).write(results, CaseMask("s1", probabilities, 0.5))
    mask = MaskView(probabilities.on_image(SHAPE), 0.5).read(whole(SHAPE))
    return mask, json.loads(results.geojson("s1").read_text())["features"]


def cut(root, content, *options, name="s1.geojson"):
    """The label that tiles_creator.py cuts of a slide with this GeoJSON; the exit code too."""
    (root / "slides").mkdir()
    (root / "corrected").mkdir()
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    tifffile.imwrite(root / "slides" / "s1.tif", image, photometric="rgb")
    data = json.dumps(content).encode()
    (root / "corrected" / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    code = tiles_creator.main(
        ["DATASETS.WSI_FOLDER", str(root / "slides"), "DATASETS.LABELS_FOLDER", str(root / "corrected"),
         "DATASETS.TRAIN_FOLDER", str(root / "train"), "DATASETS.CLASSES", str(CLASSES), "TILES.REDUCTION", "1",
         "TILES.MIN_TISSUE", "0", "INPUT.SIZE_TRAIN", "64", *options]
    )  # fmt: skip
    label = np.zeros(SHAPE, np.uint8)
    for row in pd.read_csv(root / "train" / "images_64_red1" / "tiles.csv").itertuples():
        with Image.open(root / "train" / "masks_64_red1" / row.tile) as tile:
            label[row.row_px : row.row_px + 64, row.column_px : row.column_px + 64] = np.asarray(tile)
    return code, label


def test_what_was_not_corrected_is_the_predicted_mask(tmp_path, predicted):
    mask, features = predicted
    assert {feature["geometry"]["type"] for feature in features} == {"Polygon", "MultiPolygon"}
    code, label = cut(tmp_path, {"type": "FeatureCollection", "features": features})
    assert code == 0
    np.testing.assert_array_equal(label, mask)


def test_a_large_result_is_a_label_as_it_is(tmp_path, predicted):
    mask, features = predicted
    code, label = cut(tmp_path, {"type": "FeatureCollection", "features": features}, name="s1.geojson.gz")
    assert code == 0
    np.testing.assert_array_equal(label, mask)


def as_exported(feature):
    """A feature as QuPath exports it: no measurements, other fields, coordinates that may have decimals."""
    properties = {key: value for key, value in feature["properties"].items() if key in ("objectType", "classification")}
    return feature | {"properties": {**properties, "name": "checked", "isLocked": True, "metadata": {"ANNO": "x"}}}


def test_a_deletion_a_reshaping_and_a_drawing_are_what_is_cut(tmp_path, predicted):
    mask, features = predicted
    features = [as_exported(feature) for feature in features]
    deleted = next(each for each in features if each["geometry"]["type"] == "MultiPolygon")
    reshaped = next(each for each in features if each["properties"]["classification"]["name"] == "vessel")
    ring = [[150.5, 4.25], [240.75, 10.0], [230.0, 40.5], [150.5, 4.25]]
    reshaped["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    drawn = {
        "type": "Feature",
        "id": str(uuid.uuid4()),
        "geometry": {"type": "MultiPolygon", "coordinates": [[[[5, 100], [60, 100], [5, 180], [5, 100]]]]},
        "properties": {"objectType": "annotation", "classification": {"name": "gland", "color": [200, 0, 0]}},
    }
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 3]}, "properties": {}}
    kept = [each for each in features if each is not deleted]
    unclassified = {**drawn, "id": str(uuid.uuid4()), "properties": {"objectType": "annotation"}}
    code, label = cut(tmp_path, [*kept, drawn, point, unclassified], "DATASETS.LABEL_NAMES", "[['', 'drop']]")
    assert code == 0
    wanted = np.zeros(SHAPE, np.uint8)
    for number, name in enumerate(CLASSES, start=1):
        own = [each["geometry"] for each in [*kept, drawn] if each["properties"]["classification"]["name"] == name]
        rasterize([(geometry, number) for geometry in own], out=wanted)
    np.testing.assert_array_equal(label, wanted)
    assert (wanted != mask).any()


def test_an_object_that_was_drawn_without_a_class_is_told(tmp_path, predicted, caplog):
    _, features = predicted
    del features[0]["properties"]["classification"]
    code, _ = cut(tmp_path, {"type": "FeatureCollection", "features": features})
    assert code == 1
    message = pd.read_csv(tmp_path / "train" / "failures.csv")["message"][0]
    assert features[0]["id"] in message
