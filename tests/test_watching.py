"""Watching a training changes nothing of it."""

import pytest

import train_net
from tests.test_scripts import options_for, plain_logging, save_pairs


def train(root, name, changes):
    """The best weights of a short training, as a file."""
    data = {"LAYOUT": "pairs", "IMAGES": "{group}/frames/{name}.png", "MASKS": "{group}/truth/{name}.png"}
    solver = {"FOLDS": "[1]", "EPOCHS": 3, "BATCH_SIZE": 2} | changes
    options = options_for(root) | {"DATASETS.MASK_THRESHOLD": 1, "MODEL.IN_CHANNELS": 1, "RUN_NAME": name}
    options |= {f"DATASETS.{key}": value for key, value in data.items()}
    options |= {f"SOLVER.{key}": value for key, value in solver.items()}
    with plain_logging():
        assert train_net.main([str(word) for pair in options.items() for word in pair]) == 0
    return (root / "runs" / name / "weights" / "fold1.safetensors").read_bytes()


@pytest.mark.slow
def test_a_training_that_is_watched_gives_the_same_bytes(tmp_path, monkeypatch):
    for name in ("WANDB_CACHE_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    save_pairs(tmp_path / "slides")
    plain = train(tmp_path, "plain", {})
    watching = {"FIND_LR": True, "SAMPLES_EVERY": 2, "LOGGERS": "['tensorboard', 'wandb', 'mlflow']"}
    watched = train(tmp_path, "watched", watching)
    assert watched == plain
    run = tmp_path / "runs" / "watched"
    assert [path.name for path in (run / "samples").iterdir()] == ["fold1_epoch002.png"]
    assert {"tensorboard", "wandb", "lr_finder_fold1.png", "history.png"} <= {path.name for path in run.iterdir()}
    assert "left out" not in (run / "log.txt").read_text()
