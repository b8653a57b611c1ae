import pytest

from benchmarks import study_run
from benchmarks.study_run import CellError, Study, borrow, call, read_stamp, write_stamp
from benchmarks.study_table import Row, StudyTable
from config import ConfigError

TABLE = StudyTable(
    "tiny",
    {"SOLVER.EPOCHS": "30"},
    [Row("plain", "plain", {}), Row("dense", "patches", {"TILES.OVERLAP": "128"}), Row("crops", "patches", {}, 3.0)],
)


def test_every_row_sees_as_many_pixels(tmp_path, monkeypatch):
    pixels = {"plain": 60, "dense": 200}
    monkeypatch.setattr(Study, "_cut", lambda self, options: ({}, pixels["dense" if len(options) > 1 else "plain"]))
    study = Study(TABLE, tmp_path, budget=0.5)
    epochs = {row.name: study.prepare(row)[1] for row in TABLE.rows}
    assert epochs == {"plain": 15, "dense": round(15 * 60 / 200), "crops": 5}
    assert Study(TABLE, tmp_path, budget=1e-3).prepare(TABLE.base)[1] == 1


def test_what_came_of_other_options_is_refused(tmp_path):
    write_stamp(tmp_path / "a.json", {"A": "1", "B": "2"}, {"dice": 0.5})
    assert read_stamp(tmp_path / "a.json", {"B": "2", "A": "1"}) == {"dice": 0.5}
    assert read_stamp(tmp_path / "b.json", {}) == {}
    with pytest.raises(ConfigError, match=r"was made with A 1, C \(not given\); remove it"):
        read_stamp(tmp_path / "a.json", {"A": "2", "B": "2", "C": "3"})


def test_results_are_those_of_the_rows_as_they_are_now(tmp_path):
    study = Study(TABLE, tmp_path)
    for number, (row, seed) in enumerate([(TABLE.rows[1], 1), (TABLE.base, 1), (TABLE.rows[1], 0)]):
        options = TABLE.options_of(row) | {"SEED": str(seed), "SOLVER.EPOCHS": "15"}
        if number == 2:
            options["TILES.OVERLAP"] = "64"  # before the table was changed
        write_stamp(study.run_folder(row, seed) / "result.json", options, {"row": row.name, "seed": seed})
    assert study.results() == [{"row": "plain", "seed": 1}, {"row": "dense", "seed": 1}]


def test_a_borrowed_run_has_the_networks_and_its_own_options(tmp_path):
    trained, folder = tmp_path / "plain", tmp_path / "tta"
    (trained / "weights").mkdir(parents=True)
    (trained / "scores.csv").write_text("old")
    for name in ("weights/fold0.safetensors", "history.csv", "samples_fold0.png"):
        (trained / name).write_text(name)
    borrow(trained, folder, {"TEST.TTA": "flips"})
    assert (folder / "weights" / "fold0.safetensors").read_text() == "weights/fold0.safetensors"
    assert "TTA: flips" in (folder / "config.yaml").read_text()
    assert (folder / "training_state").is_dir()
    assert not (folder / "scores.csv").exists()
    (folder / "mark").touch()
    borrow(trained, folder, {"TEST.TTA": "flips"})
    assert (folder / "mark").exists()  # what was begun goes on


def test_a_process_that_fails_is_told_with_its_last_words(tmp_path):
    with pytest.raises(CellError, match=r"(?s)-c ended with 3: so it goes"):
        call(["-c", "import sys; sys.stderr.write('so it goes'); sys.exit(3)"], tmp_path / "log.txt")


def test_whatever_ends_the_study_ends_the_process_first(tmp_path, monkeypatch):
    started = []

    class Process(study_run.subprocess.Popen):
        def wait(self, timeout=None):
            if not started:
                started.append(self)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(study_run.subprocess, "Popen", Process)
    with pytest.raises(KeyboardInterrupt):
        call(["-c", "import time; time.sleep(60)"], tmp_path / "log.txt")
    assert started[0].poll() is not None
