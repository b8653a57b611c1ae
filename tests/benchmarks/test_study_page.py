import pytest

from benchmarks.memory import ROOT
from benchmarks.study_page import draw_study, fill_page, spread, study_table, summarise, write_results
from benchmarks.study_run import Study, write_stamp
from benchmarks.study_table import FOLDER, Row, StudyTable, load_table

TABLE = StudyTable(
    "tiny",
    {},
    [Row("plain", "plain", {}), Row("dice", "loss", {"SOLVER.LOSS_FUNCTION_NAME": "dice_coef_loss"}),
     Row("tta", "at test", {"TEST.TTA": "flips"}), Row("later", "loss", {"SOLVER.LR": "1"})],
)  # fmt: skip


def result(row, seed, dice, seconds=60):
    return {"row": row, "seed": seed, "dice": dice, "dice_tuned": dice + 0.01, "fold_seconds": seconds}


@pytest.fixture
def study(tmp_path):
    return Study(TABLE, tmp_path)


RESULTS = [
    *[result("plain", 0, 0.80), result("tta", 0, 0.83, 0), result("dice", 0, 0.70, 120)],
    *[result("plain", 1, 0.84), result("tta", 1, 0.85, 0), result("dice", 2, 0.60, 120)],
]


def test_differences_are_taken_seed_by_seed(study):
    found = {each.row.name: each for each in summarise(study, RESULTS)}
    assert list(found) == ["plain", "dice", "tta"]
    assert found["tta"].gains == pytest.approx([0.03, 0.01])
    assert found["dice"].gains == pytest.approx([-0.10])  # the base has no seed 2 yet
    assert found["tta"].fold_minutes == 1  # it was trained by the base
    assert found["dice"].fold_minutes == 2


def test_spread_is_the_sample_standard_deviation():
    assert spread([0.80, 0.84]) == "0.820 ± 0.028"
    assert spread([0.03, 0.01], "+.3f") == "+0.020 ± 0.014"
    assert spread([0.5]) == "0.500"
    assert spread([]) == ""


def test_the_table_has_a_line_a_row(study):
    lines = study_table(study, RESULTS).splitlines()
    assert lines[2] == "| **plain** |  | 0.820 ± 0.028 |  | 0.830 ± 0.028 | 1.0 |"
    assert lines[4] == "| tta | `TEST.TTA flips` | 0.840 ± 0.014 | +0.020 ± 0.014 | 0.850 ± 0.014 | 1.0 |"


def test_equal_results_give_the_same_picture(study, tmp_path):
    for name in ("a.png", "b.png"):
        draw_study(summarise(study, RESULTS), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_the_page_of_the_docs_has_a_place_for_every_shipped_study(name, tmp_path):
    page = tmp_path / "results.md"
    page.write_text((ROOT / "docs" / "results.md").read_text(encoding="utf-8"), encoding="utf-8")
    study = Study(load_table(name, {}), tmp_path)
    more = {"thresholds": ["0.4", "0.4", "0.5"], "dice_by_case": {"a": 0.5}, "epochs": 3}
    path = study.run_folder(study.table.base, 0) / "result.json"
    more |= {"commit": "abc", "process_seconds": 9.0}
    write_stamp(path, study.table.options_of(study.table.base), result("plain", 0, 0.8) | more)
    write_results(study)
    fill_page(page, study)
    assert "| **plain** |  | 0.800 |" in page.read_text(encoding="utf-8")
    assert (tmp_path / "pictures" / f"study_{name}.png").exists()
    assert "0.4; 0.4; 0.5" in (tmp_path / "x1" / "results.csv").read_text()
