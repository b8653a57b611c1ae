"""What the networks of a run got wrong on held-out cases: python -m benchmarks.residuals output/train/kidney.

Errors are taken apart into areas that hang together, each of one of four kinds, and the largest of all cases are
numbered. Prints Dice and the share of each kind, and a line a numbered area, and draws all of them on white paper. What
is taken for another class is left out. With --labels the run is scored against another table than it was trained on.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from scipy import ndimage

from benchmarks.page import markdown
from benchmarks.study_score import rule_of
from config import load_cfg
from config.run import ALL_GOOD, script
from data.cases import Case, list_cases
from data.scoring import pooled_confusion, score_case
from data.sources.opening import CaseReader, build_reader
from data.stitching.mask_rule import MaskRule
from data.stitching.postprocess import clean_case
from data.stitching.probability_map import open_map
from data.writers.errors import error_kinds
from data.writers.overlay import small_masks
from data.writers.results import Results
from utils.colours import CLASS_COLOURS, colour_name
from utils.metrics import Confusion
from utils.plots import INK, QUIET, new_figure, save_figure
from utils.tables import read_table

FOUND, FALSE, MISSED = 1, 2, 3  # of error_kinds
KINDS = ("beyond an outline", "false object", "inside an outline", "missed object")
LONGEST_PX = 1000  # of a case as it is looked at
LIGHT = 0.35  # strength of the colour of what was found
EIGHT = np.ones((3, 3))


@dataclass(frozen=True)
class Area:
    """Wrong pixels that hang together: their case, kind, how many at level 0, and (row, column) deepest inside."""

    case: str
    kind: str
    pixels: float
    deepest: tuple[float, float]


@dataclass(frozen=True)
class CaseErrors:
    """A case in small, (rows, columns) of error_kinds, with its areas and how many level-0 pixels a side of one has."""

    case: str
    kinds: np.ndarray
    areas: list[Area]
    step: float
    confusion: Confusion


@script
def main(argv: Sequence[str]) -> int:
    """Print and draw the errors of a run."""
    parser = argparse.ArgumentParser(description="Take the errors of a finished run of train_net.py apart.")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--picture", type=Path, help="where to draw them; in the run's folder if not given")
    parser.add_argument("--labels", type=Path, metavar="CSV", help="DATASETS.LABELS_CSV, if not that of the training")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="how many areas to number")
    args = parser.parse_args(argv)
    cfg = load_cfg(str(args.run / "config.yaml"), ["DATASETS.LABELS_CSV", str(args.labels)] if args.labels else [])
    cases, rules = {case.id: case for case in list_cases(cfg).cases}, rules_by_case(args.run)
    found = [read_errors(build_reader(cfg), args.run, cases[case_id], rule) for case_id, rule in rules.items()]
    largest = sorted((area for each in found for area in each.areas), key=lambda area: -area.pixels)[: args.most]
    print(residual_tables(found, largest))
    draw_errors(found, largest, args.picture or args.run / "residuals.png")
    return ALL_GOOD


def rules_by_case(run: Path) -> dict[str, MaskRule]:
    """The rule with which each held-out case was scored: what the other folds chose, or all of them."""
    rows = read_table(run / "tuning.csv", ["chosen by folds"]).to_dict("records")
    rules = {row["chosen by folds"].removeprefix("all but "): rule_of(row) for row in rows}
    folds, scored = read_table(run / "folds.csv", ["id", "fold"]), read_table(run / "scores.csv", ["id"])
    scored_ids = set(scored["id"])
    pairs = zip(folds["id"], folds["fold"], strict=True)
    return {case_id: rules.get(fold, rules["all"]) for case_id, fold in pairs if case_id in scored_ids}


def read_errors(reader: CaseReader, run: Path, case: Case, rule: MaskRule) -> CaseErrors:
    """The errors of a held-out case, from its probability map and its labels."""
    with TemporaryDirectory() as scratch, reader.open_both(case) as (source, labels):
        final = clean_case(open_map(Results(run).probabilities(case.id)), Path(scratch) / "map", rule)
        confusion = pooled_confusion(score_case(case.id, final, labels, rule.extent))
        _, truth, predicted = small_masks(source, labels, final, rule.extent, LONGEST_PX)
        step = max(source.shape) / max(predicted.shape)
    kinds = error_kinds(truth, predicted)
    return CaseErrors(case.id, kinds, split_errors(case.id, kinds, step), step, confusion)


def split_errors(case_id: str, kinds: np.ndarray, step: float) -> list[Area]:
    """The areas of errors of (rows, columns) error_kinds; those that touch what was found belong to its outline."""
    near = ndimage.binary_dilation(kinds == FOUND, EIGHT)
    areas = []
    for value, touching, alone in ((FALSE, *KINDS[:2]), (MISSED, *KINDS[2:])):
        numbers, count = ndimage.label(kinds == value, EIGHT)
        for number in range(1, count + 1):
            own = numbers == number
            depth = ndimage.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1]
            row, column = np.unravel_index(depth.argmax(), own.shape)
            deepest = (step * (row + 0.5), step * (column + 0.5))
            areas.append(Area(case_id, touching if near[own].any() else alone, step**2 * int(own.sum()), deepest))
    return areas


def residual_tables(found: Sequence[CaseErrors], largest: Sequence[Area]) -> str:
    """The share of each kind in each case, and the largest areas, in Markdown."""
    every = [area for each in found for area in each.areas]
    total = sum(area.pixels for area in every) or 1.0
    shares = [(each.case, f"{each.confusion.dice:.3f}", *_shares(each.areas, total)) for each in found]
    pooled = sum((each.confusion for each in found), Confusion())
    shares.append(("all", f"{pooled.dice:.3f}", *_shares(every, total)))
    head = ("share of all wrong pixels", "Dice", *KINDS)
    lines = [
        (
            str(number),
            area.case,
            area.kind,
            f"{100 * area.pixels / total:.0f} %",
            "{:.0f}, {:.0f}".format(*area.deepest),
        )
        for number, area in enumerate(largest, start=1)
    ]
    return "\n\n".join(
        [markdown(head, shares), markdown(("", "case", "kind", "share", "row, column at level 0"), lines)]
    )


def _shares(areas: Sequence[Area], total: float) -> list[str]:
    return [f"{100 * sum(area.pixels for area in areas if area.kind == kind) / total:.0f} %" for kind in KINDS]


def draw_errors(found: Sequence[CaseErrors], largest: Sequence[Area], path: Path) -> None:
    """Two cases a row, without their pixels: what was found in a light colour, errors in a full one, with numbers."""
    rows = ceil(len(found) / 2)
    figure = new_figure(9, 0.5 + 4.0 * rows)
    for axes, each in zip(figure.subplots(rows, 2, squeeze=False).flat, found, strict=False):
        _draw_case(axes, each, largest)
    for axes in figure.axes[len(found) :]:
        axes.set_axis_off()
    names = zip(("found", "not there", "missed"), _colours()[1:], strict=True)
    patches = [Patch(color=colour, label=name) for name, colour in names]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9.5, frameon=False, labelcolor=INK)
    save_figure(figure, path)


def _draw_case(axes: Axes, each: CaseErrors, largest: Sequence[Area]) -> None:
    kinds = np.where(each.kinds <= MISSED, each.kinds, 0)
    axes.imshow(kinds, ListedColormap(_colours()), vmin=0, vmax=MISSED, interpolation="nearest")
    for number, area in enumerate(largest, start=1):
        if area.case == each.case:
            row, column = (place / each.step for place in area.deepest)
            box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK, "linewidth": 0.8}
            axes.text(column, row, str(number), ha="center", va="center", fontsize=8, color=INK, bbox=box)
    axes.set_title(each.case, fontsize=10.5, color=INK, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(QUIET)


def _colours() -> list[str]:
    found, false, missed = (np.array(colour) for colour in CLASS_COLOURS[:3])
    light = np.rint(255 - LIGHT * (255 - found)).astype(int)
    return ["#ffffff", *(colour_name(tuple(int(part) for part in each)) for each in (light, false, missed))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
