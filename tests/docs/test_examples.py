"""The small label files of the docs: all of them outline the same objects."""

from pathlib import Path

import numpy as np
import pytest

from data.cases import Case
from data.patches.grid import whole
from data.sources.class_names import ClassNames
from data.sources.coco import load_coco
from data.sources.labels import open_labels

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples"
IMAGE = Path("demo01.tiff")
SIZE = (3000, 3000)


def read(labels, **meanings):
    names = ClassNames(["glomerulus", "artery"], meanings)
    return open_labels(Case("demo01", IMAGE, labels), SIZE, names, lambda values: values).read(whole(SIZE))[..., 0]


@pytest.fixture(scope="module")
def mask():
    return read(FOLDER / "geojson" / "demo01.geojson")


def test_there_are_glomeruli_and_arteries_with_a_lumen(mask):
    assert np.unique(mask).tolist() == [0, 1, 2]
    assert (mask[330, 1790], mask[400, 1790]) == (0, 2)


def test_asap_has_the_very_same_pixels(mask):
    np.testing.assert_array_equal(read(FOLDER / "asap" / "demo01.xml", lumen="background"), mask)


def test_imagescope_differs_by_its_ellipses_alone(mask):
    found = read(FOLDER / "imagescope" / "demo01.xml", **{"#ff0000": "artery"})
    np.testing.assert_array_equal(found == 2, mask == 2)
    assert 0.95 < ((found == 1) & (mask == 1)).sum() / ((found == 1) | (mask == 1)).sum() < 1


def test_coco_differs_by_the_rim_of_its_run_lengths_alone(mask):
    found = read(load_coco(FOLDER / "coco" / "labels.json").find(IMAGE))
    np.testing.assert_array_equal(found == 1, mask == 1)
    assert ((found == 2) & (mask == 2)).sum() / ((found == 2) | (mask == 2)).sum() > 0.97
