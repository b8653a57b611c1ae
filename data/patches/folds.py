"""Folds of whole groups: no slide, patient or video ever lies on both sides."""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.tables import TableError, read_table

NEVER = -1  # in place of a fold: every fold learns from the case, none is validated on it
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


def listed_folds(group_of: Mapping[str, str], fold_groups: Sequence[Sequence[str]]) -> dict[str, int]:
    """Fold of each case id as the config lists the groups; raises ValueError for a group that no fold names."""
    fold_of = {str(group): fold for fold, groups in enumerate(fold_groups) for group in groups}
    strange = sorted({group for group in group_of.values() if group not in fold_of})
    if strange:
        raise ValueError(f"DATASETS.FOLD_GROUPS names no fold for group {strange[:8]}; it has {sorted(fold_of)}")
    return {case_id: fold_of[group] for case_id, group in group_of.items()}


def reused_folds(group_of: Mapping[str, str], path: Path) -> dict[str, int]:
    """Fold of each case id as a folds.csv says; raises ValueError for a case without a line and for a parted group."""
    known = _read_folds(path)
    strange = sorted(set(group_of) - set(known))
    if strange:
        raise ValueError(f"{path} has no line for {len(strange)} cases: {strange[:8]}")
    fold_of = {case_id: known[case_id] for case_id in group_of}
    first: dict[str, str] = {}
    for case_id, group in group_of.items():
        other = first.setdefault(group, case_id)
        if fold_of[case_id] != fold_of[other]:
            raise ValueError(
                f"{path} parts group {group!r}: {other} in fold {fold_cell(fold_of[other])!r}, {case_id} in fold"
                f" {fold_cell(fold_of[case_id])!r}; give its cases one fold, or set DATASETS.GROUP_BY id"
            )
    return fold_of


def _read_folds(path: Path) -> dict[str, int]:
    table = read_table(path, ["id", "fold"])
    fold_of: dict[str, int] = {}
    for number, case_id, cell in zip(table.index, table["id"], table["fold"], strict=True):
        if case_id in fold_of:
            raise TableError(f"{path} line {number} repeats {case_id}")
        if cell and not cell.isdecimal():
            raise TableError(f"{path} line {number} has fold {cell!r}; it must be 0, 1, ... or empty (always learnt)")
        fold_of[case_id] = int(cell) if cell else NEVER
    return fold_of


def fold_cell(fold: int) -> str:
    """A fold as folds.csv has it: empty where a case is always learnt and never validated."""
    return "" if fold == NEVER else str(fold)


def validated_folds(folds: Iterable[int]) -> list[int]:
    """The folds that some case is validated in, in order."""
    return sorted(set(folds) - {NEVER})


def check_sides(folds: Iterable[int], fold_of: Mapping[str, int], learnt: Collection[str]) -> None:
    """Raise ValueError where a fold has nothing to learn from or to validate on among the cases with samples."""
    for fold in folds:
        inside = sum(fold_of[case_id] == fold for case_id in learnt)
        if inside in (0, len(learnt)):
            side = "validation" if inside == 0 else "training"
            options = "DATASETS.FOLDS_CSV, FOLD_GROUPS, GROUP_BY, the splits of ID_CSV, SOLVER.FOLDS or N_FOLDS"
            raise ValueError(f"fold {fold} has no {side} cases; change {options}")
