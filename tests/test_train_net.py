"""Mistakes that training tells before it leaves anything, and data of which nothing can be used."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import train_net
from data.patches.tiles import TileRow
from utils.tables import write_table


def pairs(folder, names, good=True):
    """Images with masks, or files that are none."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / kind / f"{name}.png"
            pixels = np.zeros((32, 32, 3) if kind == "images" else (32, 32), np.uint8)
            pixels[8:20, 8 : 18 + ord(name[-1]) % 8] = 1
            Image.fromarray(pixels).save(path)
            if not good:
                path.write_bytes(path.read_bytes()[:40])


def train(root, **options):
    values = {
        "DATASETS.LAYOUT": "pairs",
        "DATASETS.WSI_FOLDER": root / "pairs",
        "OUTPUT_DIR": root / "runs",
        "RUN_NAME": "run",
        "TILES.REDUCTION": 1,
        "INPUT.SIZE_TRAIN": 32,
        "MODEL.ARCHITECTURE": "Unet",
        "MODEL.ENCODER_NAME": "resnet18",
        "MODEL.ENCODER_WEIGHTS": None,
    }
    values |= {name.replace("__", "."): value for name, value in options.items()}
    return train_net.main([str(word) for pair in values.items() for word in pair])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"SOLVER__N_FOLDS": 9}, "SOLVER.N_FOLDS is 9 but there are only 4 groups"),
        ({"DATASETS__FOLD_GROUPS": [["a", "b"]]}, "DATASETS.FOLD_GROUPS names no fold for group"),
        ({"DATASETS__FOLD_GROUPS": [["a", "b", "c", "d"], []]}, "fold 0 has no training cases"),
        ({"MODEL__ENCODER_NAME": "resnet17"}, "resnet17"),
    ],
)
def test_mistakes_of_folds_and_networks_are_told_before_a_run_folder_is_made(tmp_path, capsys, options, message):
    pairs(tmp_path / "pairs", "abcd")
    assert train(tmp_path, **options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_tiles_that_are_not_there_are_told_before_a_run_folder_is_made(tmp_path, capsys):
    pairs(tmp_path / "pairs", "abcd")
    (tmp_path / "labels.csv").write_text("id,encoding\na,1 2\n")
    (tmp_path / "a.tif").write_bytes(b"")
    options = {"LAYOUT": "slides", "WSI_FOLDER": tmp_path, "LABELS_CSV": tmp_path / "labels.csv"}
    options["TRAIN_FOLDER"] = tmp_path
    assert train(tmp_path, **{f"DATASETS__{name}": value for name, value in options.items()}) == 2
    assert "tiles.csv is missing" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_where_no_case_can_be_used_the_run_says_why_of_each_and_exits_with_1(tmp_path, capsys):
    pairs(tmp_path / "pairs", "abcd", good=False)
    assert train(tmp_path) == 1
    run = tmp_path / "runs" / "run"
    with (run / "failures.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == list("abcd")
    log = (run / "log.txt").read_text()
    assert "ERROR there is nothing to learn from" in log
    assert log.index("ERROR a: ") < log.index("ERROR there is nothing")
    assert "nothing to learn from" in capsys.readouterr().out
    assert not (run / "weights").exists()


def test_a_checkpoint_that_is_not_there_is_told_at_once(tmp_path, capsys):
    pairs(tmp_path / "pairs", "abcd")
    options = ["DATASETS.LAYOUT", "pairs", "DATASETS.WSI_FOLDER", str(tmp_path / "pairs"), "OUTPUT_DIR", str(tmp_path)]
    assert train_net.main([*options, "--resume"]) == 2
    assert "error: --resume: there is no checkpoint in" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_tile_that_is_damaged_before_training_is_named(tmp_path, capsys, workers):
    image, masks = tmp_path / "train" / "images_32_red1", tmp_path / "train" / "masks_32_red1"
    slides, _ = tmp_path / "slides", [folder.mkdir(parents=True) for folder in (image, masks, tmp_path / "slides")]
    names = [f"{case}_0red1.png" for case in "abcd"]
    for name in names:
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(image / name)
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(masks / name)
        (slides / f"{name[0]}.tif").write_bytes(name.encode())
    fields = list(TileRow.__dataclass_fields__)
    kinds = TileRow.__annotations__
    rows = [{field: name if field == "tile" else name[0] if field == "id" else kinds[field](0) for field in fields}
            for name in names]  # fmt: skip
    write_table(image / "tiles.csv", rows, fields)
    card = {"classes": ["object"], "cases": list("abcd"), "mean": [0.5] * 3, "std": [0.5] * 3, "spacing_um": None}
    (image / "tiles.json").write_text(json.dumps(card))
    (tmp_path / "labels.csv").write_text("id,encoding\na,\nb,\nc,\nd,\n")
    (image / names[1]).write_bytes(b"no picture")
    folders = {"WSI_FOLDER": slides, "TRAIN_FOLDER": tmp_path / "train", "LABELS_CSV": tmp_path / "labels.csv"}
    options = {f"DATASETS__{name}": value for name, value in folders.items()} | {"DATASETS__LAYOUT": "slides"}
    assert train(tmp_path, SOLVER__N_FOLDS=2, SOLVER__NUM_WORKERS=workers, **options) == 1
    assert f"tile {names[1]} cannot be read" in capsys.readouterr().out
