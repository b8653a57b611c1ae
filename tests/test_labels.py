"""Labels of every format through the scripts: the same tiles, scores, and corrections that come back."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
from PIL import Image

import test_net
import tiles_creator
from apps import show_labels
from model.card import ModelCard
from tests.networks import write_mean
from tests.outlines import coco, paint, polygons_of, write_asap, write_geojson, write_imagescope
from tests.slides import noise, write_labels_csv, write_pyramid
from utils.tables import read_table

SHAPES = {"a": (200, 261), "b": (181, 240)}
CLASSES = ["glomerulus", "artery"]


@pytest.fixture
def slides(tmp_path):
    """Two slides of noise, and by their name the objects of two classes on them."""
    objects = {}
    (tmp_path / "slides").mkdir()
    for seed, (name, size) in enumerate(SHAPES.items()):
        write_pyramid(tmp_path / "slides" / f"{name}.tif", noise(*size, 3, seed=seed), 2)
        coarse = np.random.default_rng(seed).choice([0, 0, 1, 1, 2], (19, 25)).astype(np.uint8)
        mask = coarse.repeat(11, 0).repeat(11, 1)[: size[0], : size[1]].copy()
        objects[name] = polygons_of(mask, CLASSES)
    return tmp_path, objects


def call(script, **options):
    words = [word for key, value in options.items() for word in (key.replace("_", ".", 1), str(value))]
    return script.main(words)


def cut(root, name, **options):
    folder = root / "tiles" / name
    options = {"DATASETS_CLASSES": CLASSES, **options}
    code = call(
        tiles_creator,
        DATASETS_WSI_FOLDER=root / "slides",
        DATASETS_TRAIN_FOLDER=folder,
        INPUT_SIZE_TRAIN=64,
        TILES_REDUCTION=2,
        **options,
    )
    return code, folder


def digest(folder):
    """One number for all masks and the index."""
    files = [*sorted((folder / "masks_64_red2").glob("*.png")), folder / "images_64_red2" / "tiles.csv"]
    assert len(files) > 5
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def write_table(root, objects):
    lines = ["id,class,encoding"]
    for name, own in objects.items():
        mask = paint(own, CLASSES, SHAPES[name])
        for index, class_name in enumerate(CLASSES, start=1):
            write_labels_csv(root / "one.csv", {name: mask == index})
            encoding = (root / "one.csv").read_text().splitlines()[1].partition(",")[2]
            lines.append(f"{name},{class_name},{encoding}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def write_mask(path, objects):
    tifffile.imwrite(path, paint(objects, CLASSES, SHAPES[path.stem]))


@pytest.mark.parametrize(
    ("ending", "write"),
    [
        ("geojson", write_geojson),
        ("json", write_geojson),
        ("xml", write_imagescope),
        ("xml", write_asap),
        ("tif", write_mask),
    ],
)
def test_every_format_gives_the_tiles_of_the_run_lengths(slides, ending, write):
    root, objects = slides
    if write is write_asap:  # which has no holes
        objects = {name: [each for each in own if not each[1].interiors] for name, own in objects.items()}
    (root / "labels").mkdir()
    for name, own in objects.items():
        write(root / "labels" / f"{name}.{ending}", own)
    write_table(root, objects)
    wanted = cut(root, "rle", DATASETS_LABELS_CSV=root / "labels.csv")
    found = cut(root, "outlines", DATASETS_LABELS_FOLDER=root / "labels")
    assert (wanted[0], found[0]) == (0, 0)
    assert digest(found[1]) == digest(wanted[1])


def test_one_coco_file_gives_the_tiles_of_the_run_lengths(slides):
    root, objects = slides
    images = {f"scans/{name}.tif": (own, SHAPES[name]) for name, own in objects.items()}
    (root / "coco.json").write_text(json.dumps(coco(images, CLASSES)))
    write_table(root, objects)
    wanted = cut(root, "rle", DATASETS_LABELS_CSV=root / "labels.csv")
    found = cut(root, "coco", DATASETS_LABELS_COCO=root / "coco.json")
    assert (wanted[0], found[0]) == (0, 0)
    assert digest(found[1]) == digest(wanted[1])


def test_a_bad_label_file_is_one_failed_case_that_names_file_and_object(slides):
    root, objects = slides
    write_geojson(root / "slides" / "a.geojson", objects["a"])
    write_geojson(root / "slides" / "b.geojson", [("Glomerulus", shapely.box(0, 0, 9, 9))])
    code, folder = cut(root, "bad", DATASETS_LABELS_FOLDER=root / "slides")
    assert code == 1
    failures = read_table(folder / "failures.csv", ["id", "message"])
    assert list(failures["id"]) == ["b"]
    assert (
        failures["message"]
        .iloc[0]
        .startswith("b.geojson object 1 (PathAnnotationObject) has class 'Glomerulus'; DATASETS")
    )
    assert set(read_table(folder / "images_64_red2" / "tiles.csv", ["id"])["id"]) == {"a"}


def test_names_of_the_file_are_mapped_by_the_config(slides):
    root, _ = slides
    boxes = [
        ("GS", shapely.box(0, 0, 99, 99)),
        ("Ignore*", shapely.box(0, 0, 20, 20)),
        ("ROI", shapely.box(0, 0, 150, 150)),
    ]
    for name in SHAPES:
        write_geojson(root / "slides" / f"{name}.geojson", boxes)
    names = [["GS", "glomerulus"], ["Ignore*", "ignore"], ["*", "drop"]]
    code, folder = cut(root, "names", DATASETS_LABELS_FOLDER=root / "slides", DATASETS_LABEL_NAMES=names)
    assert code == 0
    first = np.asarray(Image.open(folder / "masks_64_red2" / "a_0red2.png"))
    assert first[:10, :10].min() == 255
    assert np.unique(first).tolist() == [0, 1, 255]


@pytest.fixture
def predicted(slides):
    """Masks of two slides by a network that takes bright areas for objects."""
    root, _ = slides
    (root / "weights").mkdir()
    write_mean(root / "weights" / "a.onnx", ModelCard("Unet", "", 3, ("a",), (0.0,) * 3, (1.0,) * 3, 2.0))
    assert predict(root, "first") == 0
    return root, {name: tifffile.imread(root / "first" / "masks" / f"{name}.tiff") for name in SHAPES}


def predict(root, name, **options):
    return call(
        test_net,
        TEST_WSI_FOLDER=root / "slides",
        TEST_MODEL_WEIGHTS_FOLDER=root / "weights",
        TEST_OUTPUT_DIR=root / name,
        TEST_PATCH=64,
        TEST_OVERLAP=32,
        TEST_TH=0.5,
        TEST_OVERLAY_PX=200,
        **options,
    )


def test_the_masks_of_a_prediction_are_labels_again(predicted):
    root, masks = predicted
    assert all(mask.any() and not mask.all() for mask in masks.values())
    folder = root / "first" / "masks"
    code, _ = cut(root, "again", DATASETS_LABELS_FOLDER=folder, DATASETS_CLASSES=["a"])
    assert code == 0
    assert predict(root, "second", DATASETS_LABELS_FOLDER=folder) == 0
    assert pd.read_csv(root / "second" / "scores.csv")["dice"].tolist() == [1.0] * 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["geojson", "coco"])
def test_a_prediction_is_scored_against_outlines(predicted, kind):
    root, masks = predicted
    objects = {name: polygons_of(mask, ["a"]) for name, mask in masks.items()}
    objects["b"] = objects["b"][: len(objects["b"]) // 2]
    if kind == "coco":
        images = {f"{name}.tif": (own, SHAPES[name]) for name, own in objects.items()}
        (root / "coco.json").write_text(json.dumps(coco(images, ["a"])))
        where = {"DATASETS_LABELS_COCO": root / "coco.json"}
    else:
        for name, own in objects.items():
            write_geojson(root / "slides" / f"{name}.geojson", own)
        where = {"DATASETS_LABELS_FOLDER": root / "slides"}
    assert predict(root, kind, **where) == 0
    scores = pd.read_csv(root / kind / "scores.csv").set_index("id")
    half = paint(objects["b"], ["a"], SHAPES["b"])
    assert scores.loc["a", "dice"] == 1
    assert scores.loc["b", "dice"] == pytest.approx(2 * half.sum() / (half.sum() + masks["b"].sum()), abs=1e-5)
    assert scores.loc["b", "recall"] == 1


def test_pictures_of_labels_show_each_class_in_its_colour(slides, capsys):
    root, _ = slides
    boxes = [("glomerulus", shapely.box(20, 20, 80, 80)), ("artery", shapely.box(100, 100, 160, 160))]
    write_geojson(root / "slides" / "a.geojson", boxes)
    words = {
        "DATASETS.WSI_FOLDER": root / "slides",
        "DATASETS.LABELS_FOLDER": root / "slides",
        "DATASETS.CLASSES": CLASSES,
    }
    options = [str(word) for pair in words.items() for word in pair]
    assert show_labels.main([str(root / "shown"), *options]) == 1  # b has no labels
    drawn = np.asarray(Image.open(root / "shown" / "a.jpg")).astype(float)
    assert drawn.shape[0] > SHAPES["a"][0]  # the key to the colours lies below
    assert drawn.shape[1:] == (SHAPES["a"][1], 3)
    plain = drawn[170:195, 180:].mean((0, 1))
    green, orange = drawn[30:70, 30:70].mean((0, 1)) - plain, drawn[110:150, 110:150].mean((0, 1)) - plain
    assert green[0] < -30 < green[1]
    assert orange[2] < -30 < orange[0]
    out = capsys.readouterr().out
    assert out.splitlines()[-2:] == ["glomerulus #009e73, artery #e69f00", f"1 cases in {root / 'shown'}, 1 failed"]
    assert list(read_table(root / "shown" / "failures.csv", ["id"])["id"]) == ["b"]
