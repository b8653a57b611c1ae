"""Scores of a trained run of which nothing was chosen on the cases that they are of."""

import re
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np

from config import load_cfg
from data.cases import Case, list_cases
from data.scoring import case_histograms, pooled_confusion, score_case
from data.sources.opening import CaseReader, build_reader
from data.stitching.postprocess import clean_case
from data.stitching.probability_map import ProbabilityMap, open_map
from data.writers.results import Results
from utils.metrics import best_threshold, crossfit_thresholds
from utils.tables import read_table


def score_run(run: Path) -> dict:
    """Dice at thresholds of the other folds, pooled and by case, and at the threshold of all; seconds and commit.

    Raises ValueError for a run of less than two folds, or with a case that was not scored.
    """
    cfg = load_cfg(str(run / "config.yaml"))
    reader, results = build_reader(cfg), Results(run)
    rows = read_table(run / "folds.csv", ["id", "fold"])
    fold_of = {name: int(fold) for name, fold in zip(rows["id"], rows["fold"], strict=True) if fold}
    folds = cfg.SOLVER.FOLDS or sorted(set(fold_of.values()))
    cases = [case for case in list_cases(cfg).cases if fold_of.get(case.id) in folds]
    maps = {case.id: open_map(results.probabilities(case.id)) for case in cases}
    counts = {fold: np.zeros((2, 256), np.int64) for fold in folds}
    for case in cases:
        counts[fold_of[case.id]] += _count(case, reader, maps[case.id])
    thresholds = crossfit_thresholds(counts)
    scores = {}
    with TemporaryDirectory() as scratch:
        for case in cases:
            threshold, room = thresholds[fold_of[case.id]], Path(scratch) / case.id
            final = clean_case(maps[case.id], room, threshold, cfg.TEST.MIN_OBJECT, cfg.TEST.MAX_HOLE)
            with reader.open_both(case) as (_, labels):
                scores[case.id] = score_case(case.id, final, labels, threshold)
    return {
        "dice": pooled_confusion([each for own in scores.values() for each in own]).dice,
        "dice_by_case": {name: pooled_confusion(own).dice for name, own in scores.items()},
        "thresholds": [thresholds[fold] for fold in folds],
        "dice_tuned": _tuned_dice(run / "scores.csv"),
        "threshold_tuned": best_threshold(sum(counts.values()))[0],
        "fold_seconds": _fold_seconds(run / "history.csv"),
        "commit": _commit(run / "versions.txt"),
    }


def _count(case: Case, reader: CaseReader, probabilities: ProbabilityMap) -> np.ndarray:
    with reader.open_both(case) as (_, labels):
        return case_histograms(probabilities, labels).sum(0)


def _tuned_dice(path: Path) -> float:
    """The pooled Dice that train_net.py reports, at the threshold that is best on these very cases; mean of classes."""
    rows = read_table(path, ["id", "dice"])
    return mean(map(float, rows.loc[rows["id"] == "(pooled)", "dice"]))


def _fold_seconds(path: Path) -> float:
    """Seconds of training a fold, mean over the folds."""
    rows = read_table(path, ["fold", "seconds"])
    return sum(map(float, rows["seconds"])) / rows["fold"].nunique()


def _commit(path: Path) -> str:
    found = re.search(r"^commit (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"
