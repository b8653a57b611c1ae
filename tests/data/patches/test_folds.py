import random
from collections import Counter

import numpy as np
import pytest

from data.patches.folds import NEVER, assign_folds, check_sides, listed_folds, reused_folds, validated_folds
from utils.tables import TableError

PATIENTS = {
    f"{patient}_{number}": patient
    for patient, count in zip("abcdefg", [9, 1, 4, 4, 2, 7, 3], strict=True)
    for number in range(count)
}


@pytest.mark.parametrize("n_folds", [2, 3, 4, 7])
@pytest.mark.parametrize("seed", [0, 1, 42])
def test_no_group_is_parted_and_every_fold_has_one(n_folds, seed):
    fold_of = assign_folds(PATIENTS, n_folds, seed)
    assert fold_of.keys() == PATIENTS.keys()
    assert len({(group, fold_of[case]) for case, group in PATIENTS.items()}) == 7
    assert set(fold_of.values()) == set(range(n_folds))


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_balanced_by_cases(seed):
    sizes = Counter(assign_folds(PATIENTS, 3, seed).values())
    assert sorted(sizes.values()) == [10, 10, 10]
    sizes = Counter(assign_folds({str(n): str(n) for n in range(10)}, 4, seed).values())
    assert sorted(sizes.values()) == [2, 2, 3, 3]


def spread(fold_of, weights):
    """Largest and smallest sum of a fold, each over the mean of the folds."""
    sums = Counter()
    for case, fold in fold_of.items():
        sums[fold] += weights[case]
    mean = sum(sums.values()) / len(sums)
    return max(sums.values()) / mean, min(sums.values()) / mean


@pytest.mark.parametrize("seed", range(3))
def test_folds_are_even_in_foreground_and_still_in_cases(seed):
    alone = {str(n): str(n) for n in range(12)}
    foreground = {str(n): float(area) for n, area in enumerate([90, 80, 70, 60, 40, 30, 20, 10, 0, 0, 0, 0])}
    fold_of = assign_folds(alone, 4, seed, foreground)
    assert spread(fold_of, foreground) == (1, 1)  # 90 + 10, 80 + 20, 70 + 30, 60 + 40, each with a slide of none
    assert spread(fold_of, dict.fromkeys(alone, 1)) == (1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_unequal_groups_are_even_in_cases_and_foreground(seed):
    chance = random.Random(0)
    of_case = {f"{patient}_{n}": str(patient) for patient in range(30) for n in range(chance.randint(1, 20))}
    foreground = {case: chance.lognormvariate(0, 1) for case in of_case}
    blind, seeing = assign_folds(of_case, 5, seed), assign_folds(of_case, 5, seed, foreground)
    assert max(spread(seeing, dict.fromkeys(of_case, 1))) < 1.1
    assert np.ptp(spread(seeing, foreground)) < 0.15 < 0.25 < np.ptp(spread(blind, foreground))


def test_foreground_has_no_say_where_each_group_is_a_fold():
    groups = {name: name for name in "abcd"}
    foreground = dict(zip("abcd", [5.0, 0.0, 9.0, 1.0], strict=True))
    assert assign_folds(groups, 4, 3, foreground) == assign_folds(groups, 4, 3)


def test_the_seed_alone_decides():
    alone = {str(n): str(n) for n in range(20)}
    backwards = dict(reversed(alone.items()))
    assert assign_folds(alone, 4, 1) == assign_folds(backwards, 4, 1)
    assert assign_folds(alone, 4, 1) != assign_folds(alone, 4, 2)
    foreground = {name: float(name) for name in alone}
    assert assign_folds(alone, 4, 1, foreground) == assign_folds(backwards, 4, 1, foreground)
    assert assign_folds(alone, 4, 1, foreground) != assign_folds(alone, 4, 2, foreground)


def test_fewer_groups_than_folds_is_an_error_that_counts_them():
    with pytest.raises(ValueError, match=r"SOLVER\.N_FOLDS is 4 but there are only 3 groups: \['a', 'b', 'c'\]"):
        assign_folds({"1": "a", "2": "b", "3": "c", "4": "c"}, 4, 0)


def test_leaving_one_out_gives_each_group_a_fold_of_its_own():
    assert sorted(assign_folds({name: name for name in "abcd"}, 4, 0).values()) == [0, 1, 2, 3]


def test_listed_folds_are_those_of_the_config_even_if_it_writes_numbers():
    videos = {"1_f": "1", "3_f": "3", "2_f": "2", "6_f": "6"}
    assert listed_folds(videos, [[1, "3"], [2, 5], ["6"]]) == {"1_f": 0, "3_f": 0, "2_f": 1, "6_f": 2}


def test_a_group_that_no_fold_names_is_an_error_naming_it():
    with pytest.raises(ValueError, match=r"names no fold for group \['9'\]; it has \['1', '2'\]"):
        listed_folds({"x": "1", "y": "9"}, [["1"], ["2"]])


def folds_csv(tmp_path, text):
    (tmp_path / "folds.csv").write_text(f"id,group,fold\n{text}")
    return tmp_path / "folds.csv"


def test_the_folds_of_a_table_are_taken_over_and_an_empty_one_is_never_validated(tmp_path):
    path = folds_csv(tmp_path, "a,p,1\nb,p,1\nc,q,0\nd,r,\ngone,s,3\n")
    fold_of = reused_folds({"a": "p", "b": "p", "c": "q", "d": "r"}, path)
    assert fold_of == {"a": 1, "b": 1, "c": 0, "d": NEVER}
    assert validated_folds(fold_of.values()) == [0, 1]


def test_a_table_that_parts_a_group_is_an_error_naming_group_and_cases(tmp_path):
    groups, path = {"a": "p", "b": "p"}, folds_csv(tmp_path, "a,x,1\nb,y,2\n")
    with pytest.raises(
        ValueError, match=r"folds\.csv parts group 'p': a in fold '1', b in fold '2'; give its cases one"
    ):
        reused_folds(groups, path)
    with pytest.raises(ValueError, match="a in fold '1', b in fold ''"):
        reused_folds(groups, folds_csv(tmp_path, "a,x,1\nb,y,\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,p,0\n", r"has no line for 1 cases: \['b'\]"),
        ("a,p,0\nb,q,-1\n", "line 3 has fold '-1'; it must be 0, 1"),
        ("a,p,0\nb,q,1.0\n", "line 3 has fold '1.0'"),
        ("a,p,0\nb,q,1\na,p,0\n", "line 4 repeats a"),
    ],
)
def test_a_table_of_folds_that_cannot_be_used_is_an_error_that_says_where(tmp_path, text, words):
    with pytest.raises((ValueError, TableError), match=words):
        reused_folds({"a": "p", "b": "q"}, folds_csv(tmp_path, text))


def test_a_fold_with_an_empty_side_is_an_error():
    fold_of = {"a": 0, "b": NEVER, "glass": 1}
    check_sides([0], fold_of, ["a", "b"])
    with pytest.raises(ValueError, match="fold 1 has no validation cases"):
        check_sides([0, 1], fold_of, ["a", "b"])
    with pytest.raises(ValueError, match="fold 0 has no training cases"):
        check_sides([0], fold_of, ["a"])
