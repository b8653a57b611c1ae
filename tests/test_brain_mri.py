"""Brain MRI from the folders of slices to masks, scores and pictures, on a cohort whose answer is known."""

import re

import numpy as np
import pytest

import test_net as testing
import train_net
from apps import compare_runs
from config import load_cfg
from data.cases import list_test_cases
from data.patches.scale import build_scale
from data.scoring import mean_dice, score_case
from data.sources.opening import build_reader
from data.stitching.case import build_inference, predict_case
from data.stitching.mask_rule import MaskRule
from data.stitching.postprocess import clean_case
from tests.brain_mri import write_cohort
from utils.tables import read_table

RECIPE = "config/experiments/brain_mri.yaml"
VALID = 4


def options(root, **more):
    values = {
        "DATASETS.WSI_FOLDER": root / "kaggle_3m",
        "TEST.WSI_FOLDER": root / "kaggle_3m",
        "DATASETS.VALID_CASES": VALID,
        "TEST.BATCH_SIZE": 4,
        "INPUT.HEAD_PX": 32,
        "INPUT.SIZE_TRAIN": 32,
    }
    values |= {name.replace("__", "."): value for name, value in more.items()}
    return [str(word) for pair in values.items() for word in pair]


def bright(patches):
    """Where the second sequence is far above the head, and a false object in the corner of a slice."""
    found = (patches[:, 1:2] / 255 - 0.2) / 0.16 > 1.2
    found[:, :, :2, :3] = True
    return found.astype(np.float32)


def test_a_network_that_knows_the_answer_finds_every_tumour_where_its_mask_is(tmp_path):
    write_cohort(tmp_path / "kaggle_3m", patients=3)
    cfg = load_cfg(RECIPE, options(tmp_path, TEST__SPLIT=""))
    reader, inference = build_reader(cfg), build_inference(cfg, build_scale(cfg))
    scores = []
    for case in list_test_cases(cfg).cases:
        found = predict_case(case, reader, inference, bright, tmp_path / f"{case.id}.zarr")
        cleaned = clean_case(found, tmp_path / f"{case.id}_largest.zarr", MaskRule(0.5, largest=True))
        with reader.open_both(case) as (source, labels):
            assert source.shape == labels.shape == found.shape
            assert source.shape[0] == 7  # of nine slices the first and the last are left out
            scores += score_case(case.id, cleaned, labels, 0.5)
    assert len(scores) == 3
    assert mean_dice(scores) > 0.95


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A training of two epochs on eight of twelve patients."""
    root = tmp_path_factory.mktemp("brain")
    write_cohort(root / "kaggle_3m", patients=12, side=40)
    more = {"SOLVER__EPOCHS": 2, "SOLVER__LR": 1e-3, "SOLVER__NUM_WORKERS": 0, "SOLVER__SAMPLES_EVERY": 1}
    words = options(root, OUTPUT_DIR=root / "runs", RUN_NAME="run", **more)
    assert train_net.main(["--config-file", RECIPE, *words]) == 0
    return root


@pytest.mark.slow
def test_the_run_ends_with_the_best_mean_dice_by_which_the_weights_were_kept(cohort):
    run = cohort / "runs" / "run"
    last = (run / "log.txt").read_text().strip().splitlines()[-1]
    found = re.search(r"best mean Dice over cases (\d\.\d{4}) in epoch (\d) of fold 0", last)
    history = read_table(run / "history.csv", ["epoch", "valid_dice"])
    best = max(history.to_dict("records"), key=lambda row: float(row["valid_dice"]))
    assert float(found[1]) == pytest.approx(float(best["valid_dice"]), abs=1e-4)
    assert found[2] == best["epoch"]
    from model.checkpoints import load_checkpoint

    _, card = load_checkpoint(run / "weights" / "fold0.safetensors")
    assert (card.epoch, card.head_px, len(card.validation_ids)) == (int(best["epoch"]), 32, VALID)
    assert {path.name for path in run.glob("*.png")} >= {"dsc.png", "history.png"}
    assert list((run / "tensorboard" / "fold0").iterdir())
    assert len(list((run / "samples").iterdir())) == 2


@pytest.mark.slow
def test_held_out_patients_are_predicted_drawn_and_scored_and_two_runs_compared(cohort, capsys):
    run, out = cohort / "runs" / "run", cohort / "test"
    words = options(cohort, TEST__MODEL_WEIGHTS_FOLDER=run / "weights", TEST__OUTPUT_DIR=out)
    assert testing.main(["--config-file", RECIPE, *words]) == 0
    ids = [row["id"] for row in read_table(out / "scores.csv", ["id"]).to_dict("records")]
    assert len(ids) == VALID + 2
    for case_id in ids[:VALID]:
        pictures = sorted((out / "predictions").glob(f"{case_id}-*.png"))
        assert [path.stem for path in pictures] == [f"{case_id}-{number:02d}" for number in range(7)]
        assert (out / "gifs" / f"{case_id}.gif").exists()
    assert (out / "dsc.png").exists()
    assert not (out / "masks").exists()
    assert compare_runs.main([str(run), str(out), str(cohort / "comparison")]) == 0
    assert f"of {VALID}" in capsys.readouterr().out
