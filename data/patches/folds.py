"""Folds of whole groups: no slide, patient or video ever lies on both sides."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

DEALS = 50  # orders in which groups are dealt; the most even deal is taken


def assign_folds(
    group_of: Mapping[str, str], n_folds: int, seed: int, foreground: Mapping[str, float] | None = None
) -> dict[str, int]:
    """Fold 0..n_folds-1 of each case id, even in cases and in the area of `foreground` by id (any unit).

    The groups are dealt in several orders drawn from the seed, the large ones early, each group to the fold that has
    least of what it brings; of these deals the one with the least sum of squares is taken. Raises ValueError where
    there are fewer groups than folds.
    """
    weights = _weigh_groups(group_of, foreground or {})
    if len(weights) < n_folds:
        raise ValueError(f"SOLVER.N_FOLDS is {n_folds} but there are only {len(weights)} groups: {sorted(weights)[:8]}")
    deals = [_deal(order, weights, n_folds) for order in _orders(weights, random.Random(seed))]
    fold_of, _ = min(deals, key=lambda deal: round(deal[1], 6))
    return {case_id: fold_of[group] for case_id, group in group_of.items()}


def _weigh_groups(group_of: Mapping[str, str], foreground: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Cases and foreground of each group, scaled so that both have one total."""
    cases = Counter(group_of.values())
    areas = dict.fromkeys(cases, 0.0)
    for case_id, group in group_of.items():
        areas[group] += foreground.get(case_id, 0.0)
    scale = len(group_of) / (sum(areas.values()) or 1.0)
    return {group: np.array([cases[group], areas[group] * scale]) for group in sorted(cases)}


def _orders(weights: Mapping[str, np.ndarray], chance: random.Random) -> Iterator[list[str]]:
    """Orders of the groups: by cases, then by a disturbed sum of cases and foreground."""
    groups = list(weights)
    chance.shuffle(groups)
    yield sorted(groups, key=lambda group: -weights[group][0])
    for _ in range(1, DEALS):
        size = {group: weights[group].sum() * chance.uniform(0.3, 1) for group in groups}
        yield sorted(groups, key=lambda group: -size[group])


def _deal(order: Sequence[str], weights: Mapping[str, np.ndarray], n_folds: int) -> tuple[dict[str, int], float]:
    """Fold of each group, and the sum of squares of what the folds hold then."""
    filled = np.zeros((n_folds, 2))
    fold_of = {}
    for group in order:
        fold_of[group] = int((filled @ weights[group]).argmin())
        filled[fold_of[group]] += weights[group]
    return fold_of, float((filled**2).sum())


def fixed_folds(group_of: Mapping[str, str], fold_groups: Sequence[Sequence[str]]) -> dict[str, int]:
    """Fold of each case id as the config lists the groups; raises ValueError for a group that no fold names."""
    fold_of = {str(group): fold for fold, groups in enumerate(fold_groups) for group in groups}
    strange = sorted({group for group in group_of.values() if group not in fold_of})
    if strange:
        raise ValueError(f"DATASETS.FOLD_GROUPS names no fold for group {strange[:8]}; it has {sorted(fold_of)}")
    return {case_id: fold_of[group] for case_id, group in group_of.items()}
