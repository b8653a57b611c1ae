"""Folds of whole groups: no slide, patient or video ever lies on both sides."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence


def assign_folds(group_of: Mapping[str, str], n_folds: int, seed: int) -> dict[str, int]:
    """Fold 0..n_folds-1 of each case id; groups are shuffled, then the largest go first to the smallest fold.

    Raises ValueError where there are fewer groups than folds.
    """
    sizes = Counter(group_of.values())
    if len(sizes) < n_folds:
        raise ValueError(f"SOLVER.N_FOLDS is {n_folds} but there are only {len(sizes)} groups: {sorted(sizes)[:8]}")
    groups = sorted(sizes)
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda group: -sizes[group])
    filled = [0] * n_folds
    fold_of = {}
    for group in groups:
        fold_of[group] = filled.index(min(filled))
        filled[fold_of[group]] += sizes[group]
    return {case_id: fold_of[group] for case_id, group in group_of.items()}


def fixed_folds(group_of: Mapping[str, str], fold_groups: Sequence[Sequence[str]]) -> dict[str, int]:
    """Fold of each case id as the config lists the groups; raises ValueError for a group that no fold names."""
    fold_of = {str(group): fold for fold, groups in enumerate(fold_groups) for group in groups}
    strange = sorted({group for group in group_of.values() if group not in fold_of})
    if strange:
        raise ValueError(f"DATASETS.FOLD_GROUPS names no fold for group {strange[:8]}; it has {sorted(fold_of)}")
    return {case_id: fold_of[group] for case_id, group in group_of.items()}
