"""A run is a function of config, data, seed and commit: repeated, reused and refused, from the outside."""

import contextlib
import io
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import train_net
from tests.slides import noise

NAMES = "abcdef"


def save_pairs(folder):
    """Noise with a bright square that is the object, of a side that grows from a to f."""
    for number, name in enumerate(NAMES):
        mask = np.zeros((40, 56), np.uint8)
        mask[4 : 12 + 4 * number, 8 : 16 + 4 * number] = 1
        for kind, pixels in (("images", noise(40, 56, 3, seed=number) // 2 + mask[..., None] * 100), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / f"{name}.png")
    return folder


OPTIONS = {
    "DATASETS.LAYOUT": "pairs",
    "TILES.REDUCTION": 1,
    "INPUT.SIZE_TRAIN": 32,
    "MODEL.ARCHITECTURE": "Unet",
    "MODEL.ENCODER_NAME": "resnet18",
    "MODEL.ENCODER_WEIGHTS": None,
    "SOLVER.N_FOLDS": 3,
    "SOLVER.FOLDS": "[0, 1]",
    "SOLVER.EPOCHS": 1,
    "SOLVER.BATCH_SIZE": 4,
    "SOLVER.NUM_WORKERS": 0,
    "TEST.PATCH": 64,
    "TEST.OVERLAP": 0,
}


def train(options, config_file=None):
    """Exit code of train_net.py and what it wrote to standard error."""
    words = [str(word) for pair in options.items() for word in pair]
    argv = ["--config-file", str(config_file), *words] if config_file else words
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        code = train_net.main(argv)
    return code, errors.getvalue()


def start(data, runs, name, **options):
    """Train on the pairs in `data`; options of DATASETS by their short names."""
    paths = {"DATASETS.WSI_FOLDER": data, "OUTPUT_DIR": runs, "RUN_NAME": name}
    return train(OPTIONS | paths | {f"DATASETS.{key}": value for key, value in options.items()})


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of a run over six pairs."""
    root = tmp_path_factory.mktemp("repeat")
    code, _ = start(save_pairs(root / "data"), root / "runs", "first")
    assert code == 0
    return root / "runs" / "first"


@pytest.mark.slow
def test_a_run_repeats_from_its_own_config_to_the_byte(first, tmp_path):
    elsewhere = {"OUTPUT_DIR": tmp_path, "SOLVER.NUM_WORKERS": 1, "SOLVER.CACHE": "memory"}
    assert train(elsewhere, first / "config.yaml")[0] == 0
    (again,) = tmp_path.iterdir()
    same = ["weights/fold0.safetensors", "weights/fold1.safetensors", "last_epoch/fold0.safetensors", "manifest.csv",
            "folds.csv", "folds.png", "scores.csv", "scores_by_fold.csv", "dice_threshold.csv"]  # fmt: skip
    assert [name for name in same if (again / name).read_bytes() != (first / name).read_bytes()] == []
    assert "the data are not those of" not in (again / "log.txt").read_text()


@pytest.mark.slow
def test_a_named_run_repeats_under_another_name_and_warns_of_changed_data(first, tmp_path):
    data, begun = tmp_path / "data", set(first.parent.iterdir())
    shutil.copytree(first.parent.parent / "data", data)
    Image.fromarray(noise(40, 56, 3, seed=99)).save(data / "images" / "e.png")
    code, _ = train({"DATASETS.WSI_FOLDER": data, "SOLVER.FOLDS": "[0]"}, first / "config.yaml")
    (again,) = set(first.parent.iterdir()) - begun
    assert code == 0
    assert "manifest.csv: images/e.png has changed\n" in (again / "log.txt").read_text()


@pytest.mark.slow
def test_another_run_takes_the_folds_over(first, tmp_path):
    code, _ = train({"SEED": 7, "OUTPUT_DIR": tmp_path / "runs", "RUN_NAME": "other", "SOLVER.FOLDS": "[0]",
                     "DATASETS.FOLDS_CSV": first / "folds.csv"}, first / "config.yaml")  # fmt: skip
    other = tmp_path / "runs" / "other"
    assert code == 0
    assert (other / "folds.csv").read_bytes() == (first / "folds.csv").read_bytes()
    assert "table,,folds.csv," in (other / "manifest.csv").read_text()


@pytest.mark.slow
def test_a_run_shows_its_folds(first):
    folds = pd.read_csv(first / "folds.csv", index_col="id")["fold"]
    assert sorted(folds.value_counts()) == [2, 2, 2]
    table = pd.read_csv(first / "scores_by_fold.csv", index_col="fold")
    assert list(table.index) == ["fold 0", "fold 1", "fold 2", "mean", "standard deviation"]
    assert table.loc["mean", "dice"] == pytest.approx(table["dice"][:2].mean(), rel=1e-4)
    assert np.isnan(table.loc["fold 2", "dice"])  # it was not trained
    scores = pd.read_csv(first / "scores.csv")["id"]
    assert set(scores) == {*folds[folds < 2].index, "(pooled)"}
    page = (first / "report.html").read_text(encoding="utf-8")
    assert "What the folds hold" in page
    assert "standard deviation" in page


def test_one_picture_under_two_ids_is_a_mistake_before_any_training(tmp_path):
    data = save_pairs(tmp_path / "data")
    shutil.copy(data / "images" / "a.png", data / "images" / "d.png")
    code, errors = start(data, tmp_path / "runs", "run")
    assert code == 2
    assert "images/a.png and images/d.png are the same picture" in errors
    assert not (tmp_path / "runs" / "run" / "weights").exists()


def test_a_group_on_both_sides_of_a_reused_table_is_a_mistake_before_any_training(tmp_path):
    data = save_pairs(tmp_path / "data")
    (tmp_path / "folds.csv").write_text("id,fold\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(NAMES)))
    (tmp_path / "ids.csv").write_text("id,patient\n" + "".join(f"{name},{n // 2}\n" for n, name in enumerate(NAMES)))
    tables = {"ID_CSV": tmp_path / "ids.csv", "FOLDS_CSV": tmp_path / "folds.csv"}
    code, errors = start(data, tmp_path / "runs", "run", GROUP_BY="patient", **tables)
    assert code == 2
    assert "parts group '0': a in fold '0', b in fold '1'" in errors
