"""The folds of a run: who lies in which, how even they are, and how each scored."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.cases import Case
from data.patches.folds import NEVER, fold_cell
from data.scoring import CaseScore, confusion_row, pooled_confusion
from utils.plots import INK, PALETTE, QUIET, dress, new_figure, save_figure
from utils.report import Pictures, Section, Table
from utils.tables import write_table

SCORES = ["dice", "iou", "precision", "recall"]
COLUMNS = ["fold", "cases", "groups", "patches", "foreground", *SCORES]
MOST_LABELS = 12  # folds in a picture that still has room to write at each bar
NOTE = (
    "Foreground is the fold's share of that of all cases. Scores are pooled over the pixels of the fold's cases;"
    " mean and sample standard deviation are over folds."
)


@dataclass(frozen=True)
class FoldSummary:
    """The cases of one fold, their groups, and their patches and foreground as counts and as shares of all (0 to 1).

    `fold` is NEVER for the cases that every fold learns from.
    """

    fold: int
    case_ids: tuple[str, ...]
    groups: int
    patches: int
    shares: Mapping[str, float]

    @property
    def label(self) -> str:
        """What tables and pictures call the fold."""
        return "always learnt" if self.fold == NEVER else f"fold {self.fold}"

    def row(self) -> dict[str, object]:
        """A line of scores_by_fold.csv, without its scores."""
        counts = {"cases": len(self.case_ids), "groups": self.groups, "patches": self.patches}
        return {"fold": self.label, **counts, "foreground": self.shares["foreground"]}


def summarise_folds(
    cases: Sequence[Case], fold_of: Mapping[str, int], patches: Mapping[str, int], foreground: Mapping[str, float]
) -> list[FoldSummary]:
    """A summary of each fold in order; patches are counts by case id, foreground is in any unit of area by case id."""
    everything = {"cases": dict.fromkeys(fold_of, 1.0), "patches": patches, "foreground": foreground}
    summaries = []
    for fold in sorted(set(fold_of.values()), key=lambda each: (each == NEVER, each)):
        own = [case for case in cases if fold_of[case.id] == fold]
        shares = {
            name: sum(amounts.get(case.id, 0) for case in own) / (sum(amounts.values()) or 1)
            for name, amounts in everything.items()
        }
        count = sum(patches.get(case.id, 0) for case in own)
        ids, groups = tuple(case.id for case in own), {case.group for case in own}
        summaries.append(FoldSummary(fold, ids, len(groups), count, shares))
    return summaries


def write_folds(folder: Path, cases: Sequence[Case], fold_of: Mapping[str, int], folds: Sequence[FoldSummary]) -> None:
    """Write folds.csv, from which another run can take its folds, and folds.png."""
    rows = [{"id": case.id, "group": case.group, "fold": fold_cell(fold_of[case.id])} for case in cases]
    write_table(folder / "folds.csv", rows, ["id", "group", "fold"])
    plot_folds(folds, folder / "folds.png")


def plot_folds(folds: Sequence[FoldSummary], path: Path) -> None:
    """Bars of each fold's share of cases, patches and foreground; a line marks the even share."""
    figure = new_figure(min(max(7.0, 1.6 * len(folds)), 16.0), 3.8)
    axes = figure.subplots()
    names, is_narrow = list(folds[0].shares), len(folds) > MOST_LABELS
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        places = [fold + (number - (len(names) - 1) / 2) * width for fold in range(len(folds))]
        percent = [100 * each.shares[name] for each in folds]
        bars = axes.bar(places, percent, 0.9 * width, color=PALETTE[number], label=name)
        axes.bar_label(bars, fmt="" if is_narrow else "%.0f", fontsize=8.5, color=QUIET, padding=2)
    if all(each.fold != NEVER for each in folds):
        axes.axhline(100 / len(folds), color=QUIET, linewidth=1, linestyle="--", label="even", zorder=0)
    dress(axes, "What each fold holds", "", "percent of all")
    axes.set_xticks(range(len(folds)), [each.label.removeprefix("fold " * is_narrow) for each in folds])
    axes.set_ylim(0, 118 * max(max(each.shares.values()) for each in folds))
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside lower center", ncols=4, fontsize=9.5, frameon=False, labelcolor=INK)
    save_figure(figure, path)


def score_folds(folds: Sequence[FoldSummary], scores: Sequence[CaseScore]) -> list[dict[str, Any]]:
    """A line a fold with its pooled scores, if any, then mean and standard deviation over two or more scored folds."""
    rows: list[dict[str, Any]] = []
    for fold in folds:
        own = [score for score in scores if score.id in fold.case_ids]
        rows.append(fold.row() | (confusion_row(pooled_confusion(own)) if own else {}))
    scored = [row for row in rows if "dice" in row]
    if len(scored) > 1:
        for label, summarise in (("mean", statistics.mean), ("standard deviation", statistics.stdev)):
            rows.append({"fold": label, **{name: summarise([row[name] for row in scored]) for name in SCORES}})
    return rows


def write_fold_scores(folder: Path, rows: Sequence[Mapping[str, object]]) -> list[Section]:
    """Write scores_by_fold.csv; returns what the report shows of the folds."""
    write_table(folder / "scores_by_fold.csv", rows, COLUMNS)
    table = Table("Folds", COLUMNS, [[row.get(column) for column in COLUMNS] for row in rows], NOTE)
    return [table, Pictures("What the folds hold", [("", folder / "folds.png")])]
