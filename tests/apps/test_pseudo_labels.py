"""Unlabelled images predicted by each fold and learnt from in that fold, from the outside."""

import contextlib
import io
import shutil

import pytest
from PIL import Image

import train_net
from apps import pseudo_labels
from model.checkpoints import load_card
from tests.holder import held
from tests.slides import noise
from tests.test_repeat import OPTIONS, save_pairs
from utils.tables import read_table

WANTED = {"SOLVER.N_FOLDS": 2, "SOLVER.FOLDS": "[]", "SOLVER.SAMPLES_EVERY": 0}


def call(script, options, *first):
    """Exit code of a script and what it wrote to standard error."""
    words = [str(word) for pair in options.items() for word in pair]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        code = script.main([*map(str, first), *words])
    return code, errors.getvalue()


def refused(*_):
    raise AssertionError("a network is loaded though no map is missing")


def save_unlabelled(folder):
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate("xy", start=20):
        Image.fromarray(noise(40, 56, 3, seed=number) // 2 + 40).save(folder / "images" / f"{name}.png")
    return {"DATASETS.UNLABELLED_FOLDER": folder}


def test_a_folder_that_is_no_finished_run_exits_with_2(tmp_path):
    more = save_unlabelled(tmp_path / "more")
    code, errors = call(pseudo_labels, more, tmp_path)
    assert code == 2
    assert "config.yaml cannot be read" in errors
    (tmp_path / "config.yaml").write_text("DATASETS: {LAYOUT: pairs}")
    code, errors = call(pseudo_labels, more, tmp_path)
    assert (code, errors) == (2, f"error: {tmp_path / 'weights'} holds no weights of a fold\n")
    (tmp_path / "training_state").mkdir()
    code, errors = call(pseudo_labels, more, tmp_path)
    assert "has not come to its end; go on with it by train_net.py --resume" in errors


def test_soft_targets_and_a_loss_that_cannot_learn_from_them_are_told(tmp_path):
    more = save_unlabelled(tmp_path) | {"DATASETS.PSEUDO_LABELS": tmp_path / "none", "SOLVER.PSEUDO": "soft"}
    code, errors = call(train_net, more | {"SOLVER.LOSS_FUNCTION_NAME": "bce_lovasz"})
    assert code == 2
    assert "SOLVER.PSEUDO is 'soft', which ['bce_lovasz'] cannot learn from; choose from ['bce', " in errors
    assert "DATASETS.PSEUDO_LABELS is" in errors
    code, errors = call(train_net, more | {"SOLVER.LOSS_PARTS": "[['bce', 1], ['boundary_bce', 1]]"})
    assert "which ['boundary_bce'] cannot learn from" in errors


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two folds over six pairs, and the folder with two images more."""
    root = tmp_path_factory.mktemp("pseudo")
    paths = {"DATASETS.WSI_FOLDER": save_pairs(root / "data"), "OUTPUT_DIR": root, "RUN_NAME": "run"}
    assert call(train_net, OPTIONS | WANTED | paths)[0] == 0
    return root / "run", save_unlabelled(root / "more")


@pytest.mark.slow
def test_each_fold_makes_maps_of_its_own_and_learns_from_them_alone_to_the_same_bits(run, monkeypatch, tmp_path):
    folder, more = run
    assert call(pseudo_labels, more, folder)[0] == 0
    maps = folder / "pseudo_labels"
    found = {fold: (maps / f"fold{fold}" / "probabilities" / "x.zarr" / "c").rglob("*") for fold in range(2)}
    bytes_of = {fold: [path.read_bytes() for path in paths if path.is_file()] for fold, paths in found.items()}
    assert bytes_of[0] != bytes_of[1]
    assert (maps / "fold1" / "overlays" / "y.jpg").exists()
    monkeypatch.setattr(pseudo_labels, "load_predictor", refused)  # nothing is missing, so no network is loaded
    assert call(pseudo_labels, more, folder)[0] == 0

    with held(maps) as process:
        code, errors = call(pseudo_labels, more, folder)
    assert (code, f"another process is at work in {maps}: process {process.pid} on" in errors) == (2, True)

    options = more | {
        "DATASETS.PSEUDO_LABELS": maps,
        "DATASETS.FOLDS_CSV": folder / "folds.csv",
        "OUTPUT_DIR": tmp_path,
    }
    names = {"hard": {"SOLVER.PSEUDO_SHARE": 0.4}, "soft": {"SOLVER.PSEUDO": "soft"}}
    names["again"] = names["soft"] | {"SOLVER.NUM_WORKERS": 1}
    for name, own in names.items():
        given = options | own | {"RUN_NAME": name, "SOLVER.FOLDS": "[0]"}
        assert call(train_net, given, "--config-file", folder / "config.yaml")[0] == 0
    weights = {name: (tmp_path / name / "weights" / "fold0.safetensors").read_bytes() for name in names}
    assert weights["soft"] == weights["again"] != weights["hard"]
    manifest = read_table(tmp_path / "soft" / "manifest.csv", ["kind", "file"])
    lines = [tuple(row) for row in manifest[["kind", "file"]].to_numpy()]
    for line in [
        ("unlabelled", "images/x.png"),
        ("unlabelled", "images/y.png"),
        ("pseudo-labels", "fold0/probabilities"),
    ]:
        assert line in lines
    assert "and 8 with pseudo-labels to train on" in (tmp_path / "soft" / "log.txt").read_text()
    assert load_card(tmp_path / "soft" / "weights" / "fold0.safetensors").validation_ids


@pytest.mark.slow
def test_what_would_leak_is_refused_and_a_bad_image_stops_no_other(run, tmp_path):
    folder, more = run
    shutil.copytree(more["DATASETS.UNLABELLED_FOLDER"], tmp_path / "more")
    (tmp_path / "more" / "images" / "w.png").write_bytes(b"no picture")
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("pseudo_labels"))
    maps, more = tmp_path / "run" / "pseudo_labels", {"DATASETS.UNLABELLED_FOLDER": tmp_path / "more"}
    assert call(pseudo_labels, more, tmp_path / "run")[0] == 1
    assert list(read_table(maps / "failures.csv", ["id"])["id"]) == ["w"]
    assert {path.name for path in maps.glob("fold?/probabilities/*")} == {"x.zarr", "y.zarr"}
    folds = read_table(folder / "folds.csv", ["id"])
    swapped = [list(folds["id"][folds["fold"] == fold]) for fold in "10"]
    options = more | {"DATASETS.PSEUDO_LABELS": maps, "OUTPUT_DIR": tmp_path / "runs", "DATASETS.FOLD_GROUPS": swapped}
    code, errors = call(train_net, options, "--config-file", folder / "config.yaml")
    assert code == 2
    assert "did not hold out; set DATASETS.FOLDS_CSV to the folds.csv of that run" in errors
    assert not (tmp_path / "runs").exists()
    code, errors = call(pseudo_labels, more | {"TEST.TTA": "flips"}, tmp_path / "run")
    assert "were made with other ['options']; remove it to make them anew" in errors
    shutil.copy(tmp_path / "more" / "images" / "x.png", tmp_path / "more" / "images" / "a.png")
    code, errors = call(pseudo_labels, more, tmp_path / "run")
    assert (code, "has ['a'], which are labelled" in errors) == (2, True)
