"""What is tuned out of fold travels with the weights and makes the masks of a test."""

import csv

import numpy as np
import pytest
from PIL import Image

import test_net
import train_net
from model.checkpoints import load_card


def pairs(folder, count):
    """Bright squares on dark ground, noisy, as images and masks."""
    random = np.random.default_rng(0)
    for number in range(count):
        image, mask = np.full((64, 64, 3), 60, np.uint8), np.zeros((64, 64), np.uint8)
        row, column = random.integers(4, 30, 2)
        mask[row : row + 26, column : column + 26] = 255
        image[mask > 0] = 190
        image = np.clip(image + random.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
        for kind, pixels in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / f"{number}.png")


def options(**values):
    return [str(word) for name, value in values.items() for word in (name.replace("__", "."), value)]


@pytest.mark.slow
def test_training_tunes_and_scores_nested_and_the_test_uses_what_the_weights_carry(tmp_path, capsys):
    pairs(tmp_path / "pairs", 6)
    shared = options(DATASETS__LAYOUT="pairs", DATASETS__MASK_THRESHOLD=128, TILES__REDUCTION=1, TEST__PATCH=64,
                     TEST__OVERLAP=0, TEST__TTA_SCALES="[1.0, 0.5]", INPUT__SIZE_TRAIN=64)  # fmt: skip
    more = options(DATASETS__WSI_FOLDER=tmp_path / "pairs", OUTPUT_DIR=tmp_path, RUN_NAME="run", SOLVER__N_FOLDS=2,
                   SOLVER__EPOCHS=2, SOLVER__BATCH_SIZE=2, SOLVER__NUM_WORKERS=0, MODEL__ARCHITECTURE="Unet",
                   MODEL__ENCODER_NAME="resnet18", MODEL__ENCODER_WEIGHTS="None", SOLVER__NESTED=True,
                   SOLVER__TUNE="['low', 'objects', 'holes']")  # fmt: skip
    assert train_net.main([*shared, *more]) == 0
    assert "at what the other folds chose (all: threshold" in capsys.readouterr().out
    with (tmp_path / "run" / "tuning.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["chosen by folds"] for row in rows] == ["all", "all but 0", "all but 1"]
    cards = [load_card(tmp_path / "run" / "weights" / f"fold{fold}.safetensors") for fold in range(2)]
    for card in cards:
        assert card.threshold == pytest.approx(float(rows[0]["threshold"]), abs=6e-4)
        assert card.low == pytest.approx(float(rows[0]["low"]), abs=1e-6)
        assert (card.min_object_px, card.max_hole_px) == (int(rows[0]["min_object_px"]), int(rows[0]["max_hole_px"]))
    predict = options(TEST__WSI_FOLDER=tmp_path / "pairs", TEST__MODEL_WEIGHTS_FOLDER=tmp_path / "run" / "weights")
    assert test_net.main([*shared, *predict, *options(TEST__OUTPUT_DIR=tmp_path / "as_tuned")]) == 0
    said = options(TEST__TH=cards[0].threshold, TEST__MIN_OBJECT=cards[0].min_object_px,
                   TEST__MAX_HOLE=cards[0].max_hole_px, TEST__TH_LOW=cards[0].low)  # fmt: skip
    assert test_net.main([*shared, *predict, *said, *options(TEST__OUTPUT_DIR=tmp_path / "as_said")]) == 0
    tuned, told = ((tmp_path / name / "output.csv").read_bytes() for name in ("as_tuned", "as_said"))
    assert tuned == told
