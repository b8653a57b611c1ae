from collections import Counter

import pytest

from data.patches.folds import assign_folds, fixed_folds

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


def test_the_seed_alone_decides():
    alone = {str(n): str(n) for n in range(20)}
    backwards = dict(reversed(alone.items()))
    assert assign_folds(alone, 4, 1) == assign_folds(backwards, 4, 1)
    assert assign_folds(alone, 4, 1) != assign_folds(alone, 4, 2)


def test_fewer_groups_than_folds_is_an_error_that_counts_them():
    with pytest.raises(ValueError, match=r"SOLVER\.N_FOLDS is 4 but there are only 3 groups: \['a', 'b', 'c'\]"):
        assign_folds({"1": "a", "2": "b", "3": "c", "4": "c"}, 4, 0)


def test_leaving_one_out_gives_each_group_a_fold_of_its_own():
    assert sorted(assign_folds({name: name for name in "abcd"}, 4, 0).values()) == [0, 1, 2, 3]


def test_fixed_folds_are_those_of_the_config_even_if_it_writes_numbers():
    videos = {"1_f": "1", "3_f": "3", "2_f": "2", "6_f": "6"}
    assert fixed_folds(videos, [[1, "3"], [2, 5], ["6"]]) == {"1_f": 0, "3_f": 0, "2_f": 1, "6_f": 2}


def test_a_group_that_no_fold_names_is_an_error_naming_it():
    with pytest.raises(ValueError, match=r"names no fold for group \['9'\]; it has \['1', '2'\]"):
        fixed_folds({"x": "1", "y": "9"}, [["1"], ["2"]])
