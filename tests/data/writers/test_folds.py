import math

import pandas as pd
import pytest
from PIL import Image

from data.cases import Case
from data.patches.folds import NEVER, reused_folds
from data.scoring import CaseScore, ObjectCounts
from data.writers.folds import plot_folds, score_folds, summarise_folds, write_fold_scores, write_folds
from utils.metrics import Confusion

CASES = [Case(name, None, group=group) for name, group in [("a", "p"), ("b", "p"), ("c", "q"), ("d", "r")]]
FOLD_OF = {"a": 1, "b": 1, "c": 0, "d": NEVER}
PATCHES, FOREGROUND = {"a": 3, "b": 1, "d": 4}, {"a": 10.0, "c": 20.0, "d": 10.0}


@pytest.fixture
def folds():
    return summarise_folds(CASES, FOLD_OF, PATCHES, FOREGROUND)


def score(case_id, both, missed, class_name="x"):
    return CaseScore(case_id, class_name, Confusion(both, 0, missed), 0.0, 0.0, ObjectCounts())


def test_folds_come_in_order_and_what_is_always_learnt_last(folds):
    assert [each.row() for each in folds] == [
        {"fold": "fold 0", "cases": 1, "groups": 1, "patches": 0, "foreground": 0.5},
        {"fold": "fold 1", "cases": 2, "groups": 1, "patches": 4, "foreground": 0.25},
        {"fold": "always learnt", "cases": 1, "groups": 1, "patches": 4, "foreground": 0.25},
    ]
    assert dict(folds[1].shares) == {"cases": 0.5, "patches": 0.5, "foreground": 0.25}


def test_cases_without_any_foreground_share_none():
    assert [each.shares["foreground"] for each in summarise_folds(CASES, FOLD_OF, PATCHES, {})] == [0, 0, 0]


def test_the_table_gives_the_folds_back_and_lies_beside_a_picture(tmp_path, folds):
    write_folds(tmp_path, CASES, FOLD_OF, folds)
    assert reused_folds({case.id: case.group for case in CASES}, tmp_path / "folds.csv") == FOLD_OF
    assert pd.read_csv(tmp_path / "folds.csv")["group"].tolist() == ["p", "p", "q", "r"]
    with Image.open(tmp_path / "folds.png") as picture:
        assert picture.width > picture.height > 200


def test_many_folds_still_make_a_picture_of_equal_bytes(tmp_path):
    cases = [Case(str(n), None, group=str(n)) for n in range(40)]
    folds = summarise_folds(cases, {case.id: int(case.id) for case in cases}, {}, {"3": 1.0})
    for name in ("one.png", "two.png"):
        plot_folds(folds, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width < 3000


def test_scores_are_pooled_within_a_fold_and_spread_over_folds(folds):
    # Dice 2 * 30 / (2 * 30 + 10 + 10) = 0.75 for the fold of a and b, 2 * 10 / (2 * 10 + 20) = 0.5 for that of c
    rows = score_folds(folds, [score("a", 20, 10), score("b", 10, 10), score("c", 10, 20)])
    assert [row.get("dice") for row in rows[:3]] == [0.5, 0.75, None]
    assert [row["fold"] for row in rows[3:]] == ["mean", "standard deviation"]
    assert rows[3]["dice"] == pytest.approx(0.625)
    assert rows[4]["dice"] == pytest.approx(0.125 * math.sqrt(2))
    assert rows[3]["precision"] == 1


def test_one_scored_fold_has_no_spread(folds):
    rows = score_folds(folds, [score("c", 10, 20), score("c", 10, 0, "y")])
    assert [row["fold"] for row in rows] == ["fold 0", "fold 1", "always learnt"]
    assert rows[0]["dice"] == pytest.approx(40 / 60)


def test_the_report_shows_a_table_and_the_picture(tmp_path, folds):
    table, pictures = write_fold_scores(tmp_path, score_folds(folds, [score("c", 10, 20)]))
    assert table.rows[0][:2] == ["fold 0", 1]
    assert pictures.items == [("", tmp_path / "folds.png")]
    written = pd.read_csv(tmp_path / "scores_by_fold.csv")
    assert written["cases"].tolist() == [1, 2, 1]
    assert written["dice"].dropna().tolist() == [0.5]
