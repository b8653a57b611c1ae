"""What a study found: a CSV of all runs, a table of rows with mean and spread over seeds, and a picture of both."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from benchmarks.page import filled, markdown
from benchmarks.study_run import Study
from benchmarks.study_table import Row
from utils.atomic import write_text
from utils.plots import INK, PALETTE, QUIET, dress, new_figure, save_figure
from utils.tables import write_table

COLUMNS = ("row", "group", "seed", "dice", "dice_tuned", "thresholds", "epochs", "fold_seconds")
COLUMNS += ("process_seconds", "commit", "change", "dice_by_case")
HEAD = ("", "what changes", "Dice", "against the first row", "Dice, threshold of its own", "minutes a fold")
PICTURE = "dice.png"


@dataclass(frozen=True)
class Summary:
    """A row over its seeds: Dice by seed, and the difference to the base with the same seed."""

    row: Row
    dice: Mapping[int, float]
    gains: Sequence[float]
    tuned: Sequence[float]
    fold_minutes: float


def summarise(study: Study, results: Sequence[Mapping]) -> list[Summary]:
    """The rows that have results, in the order of the table."""
    base = {each["seed"]: each["dice"] for each in results if each["row"] == study.table.base.name}
    summaries = []
    for row in study.table.rows:
        own = [each for each in results if each["row"] == row.name]
        if own:
            dice = {each["seed"]: each["dice"] for each in own}
            gains = [dice[seed] - base[seed] for seed in dice if seed in base and row is not study.table.base]
            trainer = study.table.trainer_of(row).name
            spent = [each["fold_seconds"] / 60 for each in results if each["row"] == trainer]
            summaries.append(Summary(row, dice, gains, [each["dice_tuned"] for each in own], mean(spent)))
    return summaries


def spread(values: Sequence[float], form: str = ".3f") -> str:
    """Mean and, of two or more values, sample standard deviation."""
    if not values:
        return ""
    return format(mean(values), form) + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def study_table(study: Study, results: Sequence[Mapping]) -> str:
    """A line of Markdown a row."""
    rows = [
        (
            each.row.name if each.gains else f"**{each.row.name}**",
            f"`{each.row.change}`" if each.row.change else "",
            spread(list(each.dice.values())),
            spread(each.gains, "+.3f"),
            spread(each.tuned),
            f"{each.fold_minutes:.1f}",
        )
        for each in summarise(study, results)
    ]
    return markdown(HEAD, rows)


def write_results(study: Study) -> None:
    """Write results.csv, table.md and the picture of a budget."""
    folder, results = study.folder / f"x{study.budget:g}", study.results()
    rows = {row.name: row for row in study.table.rows}
    lines = [{**each, "group": rows[each["row"]].group, "change": rows[each["row"]].change} for each in results]
    for line in lines:
        line["thresholds"] = "; ".join(line["thresholds"])  # chosen by all folds, then by all but each
        line["dice_by_case"] = " ".join(f"{name}={value:.4f}" for name, value in line["dice_by_case"].items())
    write_table(folder / "results.csv", lines, COLUMNS)
    write_text(folder / "table.md", study_table(study, results) + "\n")
    draw_study(summarise(study, results), folder / PICTURE)


def draw_study(summaries: Sequence[Summary], path: Path) -> None:
    """A line a row with a dot a seed and a bar at their mean; a grey line stands at the mean of the first row."""
    figure = new_figure(9, 1.6 + 0.3 * len(summaries))
    axes = figure.subplots()
    seeds = sorted({seed for each in summaries for seed in each.dice})
    groups = list(dict.fromkeys(each.row.group for each in summaries))
    for number, seed in enumerate(seeds):
        points = [(each.dice[seed], place) for place, each in enumerate(summaries) if seed in each.dice]
        axes.plot(*zip(*points, strict=True), "o", color=PALETTE[number % len(PALETTE)], markersize=6,
                  alpha=0.8, label=f"seed {seed}")  # fmt: skip
    for place, each in enumerate(summaries):
        axes.plot([mean(each.dice.values())] * 2, [place - 0.32, place + 0.32], color=INK, linewidth=2)
        if groups.index(each.row.group) % 2:
            axes.axhspan(place - 0.5, place + 0.5, color=QUIET, alpha=0.09, linewidth=0)
    axes.axvline(mean(summaries[0].dice.values()), color=QUIET, linewidth=1, linestyle="--")
    dress(axes, "Dice out of fold, at thresholds of the other folds", "pooled over the cases; the bar is the mean", "")
    axes.set_yticks(range(len(summaries)), [each.row.name for each in summaries])
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center", ncols=len(seeds), fontsize=9.5, frameon=False, labelcolor=INK)
    save_figure(figure, path)


def fill_page(page: Path, study: Study) -> None:
    """Put table and picture between the marks `study <name>` of a page; the picture goes to the folder pictures."""
    name = f"study_{study.table.name}.png"
    (page.parent / "pictures").mkdir(exist_ok=True)
    shutil.copy(study.folder / f"x{study.budget:g}" / PICTURE, page.parent / "pictures" / name)
    picture = f"![Dice of each row, a dot a seed](pictures/{name})"
    block = f"{study_table(study, study.results())}\n\n{picture}"
    write_text(page, filled(page.read_text(encoding="utf-8"), {f"study {study.table.name}": block}))
