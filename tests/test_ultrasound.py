"""The recipe for prostates from a Roboflow export to masks by torch and by ONNX Runtime, with a small network."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import export_net
import test_net
import train_net
from apps import list_pairs
from utils.tables import read_table

SHAPE = (110, 150)


def save_export(folder):
    """Ten colour pictures of a bright border and a dark gland in speckle, two of them copies of one."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for number in range(10):
        chance = np.random.default_rng(number)
        row, column = chance.uniform(45, 65), chance.uniform(60, 90)
        gland = ((rows - row) / 18) ** 2 + ((columns - column) / 28) ** 2 < 1
        grey = np.clip(np.where(gland, 45, 140) * chance.rayleigh(0.8, SHAPE), 0, 255)
        grey[:5] = 255
        place = folder / ("valid" if number > 7 else "train")
        place.mkdir(parents=True, exist_ok=True)
        name = f"scan{min(number, 8)}_png.rf.{number}"
        Image.fromarray(np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)).save(place / f"{name}.jpg")
        Image.fromarray(gland.astype(np.uint8)).save(place / f"{name}_mask.png")
        (place / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, prostate\n")


@pytest.mark.slow
def test_the_recipe_trains_exports_and_predicts_alike_by_torch_and_onnx(tmp_path):
    save_export(tmp_path / "trus")
    options = {
        **{"DATASETS.WSI_FOLDER": tmp_path / "trus", "TEST.WSI_FOLDER": tmp_path / "trus"},
        **{"DATASETS.ID_CSV": tmp_path / "id.csv", "DATASETS.CROP": [5, 8, 100, 130], "TILES.SIDES": [96, 96]},
        **{"INPUT.SIZE_TRAIN": 96, "TEST.PATCH": 96, "MODEL.ENCODER_NAME": "resnet18", "MODEL.ENCODER_WEIGHTS": "None"},
        **{"SOLVER.N_FOLDS": 2, "SOLVER.FOLDS": [0], "SOLVER.EPOCHS": 8, "SOLVER.LR": 1e-3, "SOLVER.NUM_WORKERS": 0},
        **{"SOLVER.BATCH_SIZE": 2, "OUTPUT_DIR": tmp_path, "RUN_NAME": "run", "TEST.OUTPUT_DIR": tmp_path / "test"},
    }

    def call(script, *more, **changed):
        given = options | changed
        words = [str(word) for pair in given.items() for word in pair]
        assert script.main([*more, "--config-file", "config/experiments/trus.yaml", *words]) == 0

    call(list_pairs, str(tmp_path / "id.csv"), "--held-out", "2")
    rows = read_table(tmp_path / "id.csv", ["id", "group", "split"])
    assert rows.groupby("group")["id"].count().max() == 2
    call(train_net)
    history = read_table(tmp_path / "run" / "history.csv", ["valid_dice", "valid_iou"]).astype(float)
    assert history["valid_dice"].idxmax() == history["valid_iou"].idxmax()
    weights = tmp_path / "run" / "weights"
    options["TEST.MODEL_WEIGHTS_FOLDER"] = weights
    call(test_net)
    call(export_net)
    call(test_net, **{"TEST.MODEL_WEIGHTS_FOLDER": weights / "onnx", "TEST.OUTPUT_DIR": tmp_path / "onnx"})
    scores = read_table(tmp_path / "test" / "scores.csv", ["id", "dice"])
    assert scores["dice"].astype(float).min() > 0.8
    names = [path.name for path in sorted((tmp_path / "test" / "masks").iterdir())]
    assert len(names) == sum(rows["split"] == "test")
    for name in names:
        one, other = (tifffile.imread(tmp_path / kind / "masks" / name) for kind in ("test", "onnx"))
        assert one.shape == SHAPE
        assert not one[:5].any()
        assert not one[:, :8].any()
        assert np.count_nonzero(one != other) <= 2
