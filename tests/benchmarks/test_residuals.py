import numpy as np
import pytest

from benchmarks.residuals import CaseErrors, draw_errors, residual_tables, rules_by_case, split_errors
from utils.metrics import Confusion

ROWS = [
    "..111....22",
    ".21113...22",
    ".211133....",
    ".....333.33",
    "....3333.33",
]
STEP = 4.0


@pytest.fixture
def case():
    kinds = np.array([[int(each.replace(".", "0")) for each in row] for row in ROWS], np.uint8)
    return CaseErrors("a", kinds, split_errors("a", kinds, STEP), STEP, Confusion(2, 1, 1))


def test_errors_at_an_outline_are_told_from_whole_objects(case):
    found = {area.kind: area.pixels for area in case.areas}
    assert found == {
        "beyond an outline": 2 * 16,
        "false object": 4 * 16,
        "inside an outline": 10 * 16,
        "missed object": 4 * 16,
    }


def test_an_area_is_numbered_at_a_pixel_of_its_own(case):
    for area in case.areas:
        row, column = (int(place / STEP) for place in area.deepest)
        assert case.kinds[row, column] == (2 if area.kind in ("beyond an outline", "false object") else 3)


def test_shares_are_of_all_wrong_pixels(case):
    largest = sorted(case.areas, key=lambda area: -area.pixels)[:1]
    lines = residual_tables([case], largest).splitlines()
    assert lines[2:4] == ["| a | 0.667 | 10 % | 20 % | 50 % | 20 % |", "| all | 0.667 | 10 % | 20 % | 50 % | 20 % |"]
    assert lines[-1].startswith("| 1 | a | inside an outline | 50 % | ")
    nothing = CaseErrors("b", np.zeros((3, 3), np.uint8), [], 1.0, Confusion(2, 1, 1))
    assert "| all | 0.667 | 0 % | 0 % | 0 % | 0 % |" in residual_tables([nothing], [])


def test_equal_errors_give_the_same_picture(case, tmp_path):
    for name in ("a.png", "b.png"):
        draw_errors([case, case, case], case.areas[:1], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("folds", "expected"), [(["all", "all but 0", "all but 1"], [0.4, 0.6]), (["all"], [0.5] * 2)])
def test_a_case_is_looked_at_as_it_was_scored(tmp_path, folds, expected):
    thresholds = {"all": 0.5, "all but 0": 0.4, "all but 1": 0.6}
    lines = [f"{name},{thresholds[name]},0,5,0,0.9" for name in folds]
    head = "chosen by folds,threshold,low,min_object_px,max_hole_px,dice"
    (tmp_path / "tuning.csv").write_text("\n".join([head, *lines, ""]))
    (tmp_path / "folds.csv").write_text("id,group,fold\na,a,0\nb,b,1\nc,c,1\n")
    (tmp_path / "scores.csv").write_text("id,dice\na,1\nb,1\n(pooled),1\n")
    rules = rules_by_case(tmp_path)
    assert {name: rule.extent for name, rule in rules.items()} == dict(zip("ab", expected, strict=True))
