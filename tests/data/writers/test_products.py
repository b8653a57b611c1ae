import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from config import load_cfg
from data.sources.source import ArraySource
from data.stitching.probability_map import Frame
from data.writers.products import PRODUCTS, VOLUME_PRODUCTS, CaseMask, Products, build_products, join_products
from data.writers.results import Results
from tests.maps import memory_map
from tests.slides import make_cfg
from utils.rle import decode_rle

CLASSES = ["a", "b"]


def mask_of(case_id="one"):
    values = np.zeros((2, 30, 40), np.uint8)
    values[0, 2:10, 3:9], values[0, 20:25, 20:30], values[1, 12:18, 30:40] = 200, 255, 255
    probabilities = memory_map(values, CLASSES)
    probabilities.frame = Frame((0, 0), (120, 160), (120, 160), tuple(CLASSES), (0.5, 0.5))
    return CaseMask(case_id, probabilities, 0.5)


def written(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    results = Results(tmp_path_factory.mktemp("all"))
    Products(list(PRODUCTS)).write(results, mask_of())
    return results


def test_all_products_tell_of_the_same_mask(everything):
    mask = tifffile.imread(everything.mask("one"))
    np.testing.assert_array_equal(tifffile.imread(everything.ome("one")), mask)
    with Image.open(everything.preview("one")) as image:
        np.testing.assert_array_equal(np.asarray(image), mask)
    collection = json.loads(everything.geojson("one").read_text())["features"]
    table = pd.read_csv(everything.objects("one"))
    assert [feature["id"] for feature in collection] == table["object"].tolist()
    assert table["class"].tolist() == ["a", "b", "a"]
    join_products(everything, ["rle", "objects"], ["one"], CLASSES)
    runs = pd.read_csv(everything.root / "output.csv").set_index("class")["predicted"]
    for number, name in enumerate(CLASSES, start=1):
        np.testing.assert_array_equal(decode_rle(runs[name], mask.shape), mask == number)
        assert table.loc[table["class"] == name, "area_px"].sum() == np.count_nonzero(mask == number)
    assert pd.read_csv(everything.root / "objects.csv").equals(table)


@pytest.mark.parametrize("name", list(PRODUCTS))
def test_each_product_can_be_had_alone_and_is_then_the_same(everything, name, tmp_path):
    results = Results(tmp_path)
    Products([name]).write(results, mask_of())
    (only,) = written(tmp_path)
    assert (tmp_path / only).read_bytes() == (everything.root / only).read_bytes()


def test_what_is_not_wanted_any_more_is_taken_away(tmp_path):
    results = Results(tmp_path)
    Products(["tiff", "rle", "geojson", "objects"]).write(results, mask_of())
    join_products(results, ["rle", "objects"], ["one"], CLASSES)
    Products(["preview"]).write(results, mask_of())
    join_products(results, ["preview"], ["one"], CLASSES)
    assert written(tmp_path) == ["previews/one.png"]


def test_nothing_may_be_wanted(tmp_path):
    Products([]).write(Results(tmp_path), mask_of())
    assert written(tmp_path) == []


def volume_of(case_id="one"):
    values = np.zeros((2, 5, 30, 40), np.uint8)
    values[0, 1:4, 2:10, 3:9], values[1, 2, 12:18, 30:40] = 200, 255
    image = ArraySource(np.full((5, 30, 40, 1), 90.0, np.float32), (2000.0, 1000.0, 1000.0))
    return CaseMask(case_id, memory_map(values, CLASSES), 0.5, lambda: image)


def test_a_volume_has_the_products_of_volumes_alone(tmp_path):
    results = Results(tmp_path)
    Products([*PRODUCTS, "gif"], gif_axis=1).write(results, volume_of())
    assert written(tmp_path) == ["gifs/one.gif"]
    with Image.open(results.gif("one")) as image:
        assert image.n_frames == 30
    Products([]).write(results, volume_of())
    assert written(tmp_path) == []


def test_a_volume_without_an_image_has_no_film(tmp_path):
    Products(["gif"]).write(Results(tmp_path), replace(volume_of(), open_image=None))
    assert written(tmp_path) == []


def test_the_axes_of_the_network_say_which_products_are_possible():
    assert build_products(load_cfg()).names == ["tiff", "rle", "geojson", "objects", "preview"]
    assert build_products(load_cfg(options=["MODEL.AXES", "3"])).names == list(VOLUME_PRODUCTS)


def test_options_reach_the_products(tmp_path):
    cfg = make_cfg(TEST_WRITE="['geojson']", TEST_OBJECT_TYPE="detection", TEST_SIMPLIFY=2.0, TEST_OVERLAY_PX=10)
    assert build_products(cfg) == Products(["geojson"], "detection", 2.0, 10)
    results = Results(tmp_path)
    build_products(cfg).write(results, mask_of())
    (first, *_) = json.loads(results.geojson("one").read_text())["features"]
    assert first["properties"]["objectType"] == "detection"
