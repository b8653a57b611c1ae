import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from benchmarks import residuals, study
from benchmarks.memory import ROOT
from tests.slides import write_labels_csv, write_pyramid
from utils.tables import read_table

OPTIONS = {
    "TILES.REDUCTION": 1.0,
    "TILES.MIN_TISSUE": 0.0,
    "INPUT.SIZE_TRAIN": 32,
    "MODEL.ARCHITECTURE": "FPN",
    "MODEL.ENCODER_NAME": "tu-mobilenetv3_small_050",
    "MODEL.ENCODER_WEIGHTS": "None",
    "SOLVER.N_FOLDS": 2,
    "SOLVER.NESTED": True,
    "SOLVER.EPOCHS": 12,
    "SOLVER.BATCH_SIZE": 4,
    "SOLVER.NUM_WORKERS": 0,
    "SOLVER.CHECKPOINT_MINUTES": 1e-3,
    "TEST.PATCH": 32,
    "TEST.OVERLAP": 0,
    "TEST.OVERLAY_PX": 64,
}


@pytest.fixture
def argv(tmp_path):
    """A study of two rows, of which the second predicts with the networks of the first, on two drawn slides."""
    (tmp_path / "slides").mkdir()
    rows, columns = np.indices((96, 96))
    masks = {}
    for name, (row, column) in {"a": (30, 40), "b": (60, 50)}.items():
        masks[name] = np.hypot(rows - row, columns - column) < 18
        image = np.random.default_rng(row).integers(0, 90, (96, 96, 3)) + 120 * masks[name][..., None]
        write_pyramid(tmp_path / "slides" / f"{name}.tiff", image.astype(np.uint8))
    write_labels_csv(tmp_path / "labels.csv", masks)
    table = {"options": OPTIONS, "rows": {"plain": {"plain": {}}, "at test": {"tta": {"TEST.TTA": "flips"}}}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    data = ["--slides", tmp_path / "slides", "--labels", tmp_path / "labels.csv"]
    words = ["--table", tmp_path / "tiny.yaml", *data, "--seeds", "5", "--budget", "0.5", "--folder", tmp_path / "runs"]
    return [str(word) for word in words]


def wait_for(path, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_study_that_is_stopped_goes_on_and_ends_with_its_table(argv, tmp_path, capsys):
    home = tmp_path / "runs" / "tiny" / "x0.5"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.study", *argv], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(home / "seed5" / "plain" / "history.csv")
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    assert (home / "seed5" / "plain" / "training_state").is_dir()
    assert study.main(argv) == 0
    assert "going on in epoch" in (home / "seed5" / "plain.txt").read_text()
    assert "epoch" not in (home / "seed5" / "tta.txt").read_text()  # it trained nothing
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- study tiny -->\n<!-- end -->\nafter\n")
    begun = time.monotonic()
    assert study.main([*argv, "--page", str(page)]) == 0
    assert time.monotonic() - begun < 5  # nothing was run again
    rows = read_table(home / "results.csv", ["row", "seed", "epochs", "dice"])
    assert rows[["row", "seed", "epochs"]].to_numpy().tolist() == [["plain", "5", "6"], ["tta", "5", "6"]]
    plain, tta = map(float, rows["dice"])
    assert f"| tta | `TEST.TTA flips` | {tta:.3f} | {tta - plain:+.3f} |" in page.read_text()
    assert (tmp_path / "pictures" / "study_tiny.png").stat().st_size > 0
    assert "2 of 2: tta seed 5 Dice" in capsys.readouterr().out
    run = home / "seed5" / "plain"
    assert residuals.main([str(run), "--most", "1", "--labels", str(tmp_path / "labels.csv")]) == 0
    assert capsys.readouterr().out.count("\n| 1 | ") == 1
    assert (run / "residuals.png").stat().st_size > 0


def test_a_row_that_fails_leaves_the_others_their_turn(argv, monkeypatch, capsys):
    done = []

    def run(self, row, seed):
        if row.name == "plain":
            raise study.CellError("no room")
        done.append(row.name)
        return {"row": row.name, "seed": seed, "dice": 0.5}

    monkeypatch.setattr(study.Study, "run", run)
    monkeypatch.setattr(study, "write_results", lambda _: None)
    assert study.main(argv) == 1
    assert done == ["tta"]
    assert capsys.readouterr().out.splitlines()[-1] == "-- failed: plain seed 5: no room"


def test_all_rows_with_one_seed_come_before_the_next(argv, monkeypatch):
    order = []

    def run(self, row, seed):
        order.append((row.name, seed))
        return {"row": row.name, "seed": seed, "dice": 0.5}

    monkeypatch.setattr(study.Study, "run", run)
    monkeypatch.setattr(study, "write_results", lambda _: None)
    assert study.main([*argv, "--seeds", "1", "0"]) == 0
    assert order == [("plain", 1), ("tta", 1), ("plain", 0), ("tta", 0)]


def test_a_budget_of_nothing_is_refused(argv, capsys):
    assert study.main([*argv, "--budget", "0"]) == 2
    assert "--budget is 0.0" in capsys.readouterr().err
