import numpy as np
import pytest

from apps.compare_runs import Comparison, main
from utils.tables import read_table, write_table


def run_of(folder, dice, column="dice"):
    rows = [{"id": name, "class": "tumour", column: value} for name, value in dice.items()]
    rows += [{"id": "(mean)", "class": "tumour", column: 0.1}, {"id": "(pooled)", "class": "tumour", column: 0.2}]
    folder.mkdir(exist_ok=True)
    write_table(folder / "scores.csv", rows, ["id", "class", column])
    return str(folder)


def test_the_difference_is_stated_case_by_case_and_in_the_mean(tmp_path, capsys):
    first = run_of(tmp_path / "plain", {"a": 0.8, "b": 0.9, "c": 0.7, "d": 0.1})
    second = run_of(tmp_path / "best", {"a": 0.9, "b": 0.85, "c": 0.9, "e": 0.2})
    assert main([first, second, str(tmp_path / "out")]) == 0
    rows = read_table(tmp_path / "out" / "comparison.csv", ["id", "class", "first", "second", "difference"])
    assert list(rows["id"]) == ["b", "a", "c", "(mean)"]
    assert [round(float(each), 3) for each in rows["difference"]] == [-0.05, 0.1, 0.2, 0.083]
    said = capsys.readouterr().out
    assert "mean dice 0.8000 in plain, 0.8833 in best: +0.0833 (95 % -0.0500 to +0.2000), higher in 2 of 3" in said
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "2 scores that only one of the runs has are left out" in page


def test_the_interval_is_that_of_the_mean_difference_drawn_again():
    chance = np.random.default_rng(0)
    first = {(f"{number:03d}", "x"): 0.5 for number in range(200)}
    second = {key: 0.5 + chance.normal(0.02, 0.1) for key in first}
    comparison = Comparison(first, second)
    low, high = comparison.interval()
    own = comparison.differences
    error = 1.96 * own.std() / len(own) ** 0.5
    assert low == pytest.approx(own.mean() - error, abs=0.002)
    assert high == pytest.approx(own.mean() + error, abs=0.002)


def test_other_columns_can_be_compared(tmp_path, capsys):
    runs = [run_of(tmp_path / name, {"a": value}, "surface_dice") for name, value in (("one", 0.5), ("two", 0.75))]
    assert main([*runs, str(tmp_path / "out"), "--column", "surface_dice"]) == 0
    assert "+0.2500" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dice", "message"), [({"z": 0.5}, "have no case in common"), ({"a": "much"}, "has dice that is no number")]
)
def test_what_cannot_be_compared_is_told(tmp_path, capsys, dice, message):
    first, second = run_of(tmp_path / "one", {"a": 0.5}), run_of(tmp_path / "two", dice)
    assert main([first, second, str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert main([first, str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    assert "scores.csv is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
