"""Scores of a trained run of which nothing was chosen on the cases that they are of."""

import re
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from config import load_cfg
from data.cases import list_cases
from data.scoring import pooled_confusion, score_case
from data.sources.opening import build_reader
from data.stitching.mask_rule import MaskRule
from data.stitching.postprocess import clean_case
from data.stitching.probability_map import open_map
from data.writers.results import Results
from utils.tables import read_table


def score_run(run: Path) -> dict:
    """Dice at what the other folds chose, pooled and by case, and pooled at what all of them chose; seconds and commit.

    Dice by case is the mean of the classes. Raises ValueError for a run that scored its folds at what their own cases
    chose.
    """
    scores, tuning = read_table(run / "scores.csv", ["id", "dice"]), read_table(run / "tuning.csv", ["threshold"])
    if len(tuning) < 3:
        raise ValueError(f"{run.name} chose nothing fold by fold; it wants SOLVER.NESTED True and two folds at least")
    dice = {name: mean(map(float, own)) for name, own in scores.groupby("id", sort=False)["dice"]}
    return {
        "dice": dice.pop("(pooled)"),
        "dice_by_case": dice,
        "dice_tuned": _dice_at(run, list(dice), rule_of(tuning.to_dict("records")[0])),
        "thresholds": list(tuning["threshold"]),
        "fold_seconds": _fold_seconds(run / "history.csv"),
        "commit": _commit(run / "versions.txt"),
    }


def rule_of(row: Mapping[str, str]) -> MaskRule:
    """The rule of a line of tuning.csv."""
    thresholds = tuple(map(float, row["threshold"].split()))
    sizes = {name: int(float(row[name])) for name in ("min_object_px", "max_hole_px")}
    return MaskRule(thresholds[0] if len(thresholds) == 1 else thresholds, float(row["low"]), **sizes)


def _dice_at(run: Path, case_ids: list[str], rule: MaskRule) -> float:
    """Dice pooled over cases, all at one rule."""
    cfg = load_cfg(str(run / "config.yaml"))
    reader, results, scores = build_reader(cfg), Results(run), []
    with TemporaryDirectory() as scratch:
        for case in [case for case in list_cases(cfg).cases if case.id in case_ids]:
            final = clean_case(open_map(results.probabilities(case.id)), Path(scratch) / case.id, rule)
            with reader.open_both(case) as (_, labels):
                scores += score_case(case.id, final, labels, rule.extent)
    return pooled_confusion(scores).dice


def _fold_seconds(path: Path) -> float:
    """Seconds of training a fold, mean over the folds."""
    rows = read_table(path, ["fold", "seconds"])
    return sum(map(float, rows["seconds"])) / rows["fold"].nunique()


def _commit(path: Path) -> str:
    found = re.search(r"^commit (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"
