"""Compares the scores of two runs case by case: python -m apps.compare_runs FIRST SECOND comparison."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config import ConfigError, config_mistakes
from config.run import ALL_GOOD, print_result, script

DRAWS = 10_000  # of the bootstrap
SEED = 0
COLUMNS = ["id", "class", "first", "second", "difference"]


@dataclass(frozen=True)
class Comparison:
    """What one run has over another: scores of both by (id, class), for the cases that both have."""

    first: Mapping[tuple[str, str], float]
    second: Mapping[tuple[str, str], float]

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Ids and classes that both runs scored."""
        return sorted(self.first.keys() & self.second.keys())

    @property
    def alone(self) -> int:
        """Scores that only one of the runs has."""
        return len(self.first.keys() ^ self.second.keys())

    @property
    def differences(self) -> np.ndarray:
        """By how much the second is higher, in the order of `keys`."""
        return np.array([self.second[key] - self.first[key] for key in self.keys])

    def interval(self) -> tuple[float, float]:
        """Limits between which the mean difference lies in 95 of 100 draws of as many cases, with repetition."""
        own = self.differences
        places = np.random.default_rng(SEED).integers(len(own), size=(DRAWS, len(own)))
        low, high = np.percentile(own[places].mean(1), (2.5, 97.5))
        return float(low), float(high)

    def rows(self) -> list[dict[str, object]]:
        """A line a case and class, where the second is most behind first, then their means."""
        pairs: list[tuple[str, str, float, float]] = [(*key, self.first[key], self.second[key]) for key in self.keys]
        pairs.sort(key=lambda pair: pair[3] - pair[2])
        first, second = (float(np.mean([pair[place] for pair in pairs])) for place in (2, 3))
        pairs.append(("(mean)", "", first, second))
        return [dict(zip(COLUMNS, (*pair, pair[3] - pair[2]), strict=True)) for pair in pairs]


@script
def main(argv: Sequence[str]) -> int:
    """Write comparison.csv, a picture and a page of two runs' scores, and say the difference; the exit code."""
    from utils.tables import write_table

    args = parse_args(argv)
    with config_mistakes():
        comparison = Comparison(*(read_scores(run, args.column) for run in (args.first, args.second)))
    if not comparison.keys:
        raise ConfigError([f"{args.first} and {args.second} have no case in common"])
    write_table(args.folder / "comparison.csv", comparison.rows(), COLUMNS)
    write_page(args, comparison)
    print_result(in_words(args, comparison))
    return ALL_GOOD


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare the scores that two runs have for the same cases.")
    parser.add_argument("first", type=Path, help="folder of a run or of results, with scores.csv")
    parser.add_argument("second", type=Path, help="the other one")
    parser.add_argument("folder", type=Path, help="where to write comparison.csv and comparison.html")
    parser.add_argument("--column", default="dice", metavar="NAME", help="column of scores.csv (dice)")
    return parser.parse_args(argv)


def read_scores(run: Path, column: str) -> dict[tuple[str, str], float]:
    """A column of scores.csv by id and class, without the lines over all cases; raises TableError."""
    from utils.tables import TableError, read_table

    path = run / "scores.csv"
    rows = read_table(path, ["id", "class", column]).to_dict("records")
    try:
        return {(row["id"], row["class"]): float(row[column]) for row in rows if not row["id"].startswith("(")}
    except ValueError as error:
        raise TableError(f"{path} has {column} that is no number: {error}") from error


def in_words(args: argparse.Namespace, comparison: Comparison) -> str:
    """The difference in one line."""
    own, (low, high) = comparison.differences, comparison.interval()
    means = [np.mean([scores[key] for key in comparison.keys]) for scores in (comparison.first, comparison.second)]
    return (
        f"mean {args.column} {means[0]:.4f} in {args.first.name}, {means[1]:.4f} in {args.second.name}: "
        f"{own.mean():+.4f} (95 % {low:+.4f} to {high:+.4f}), higher in {(own > 0).sum()} of {len(own)}"
    )


def write_page(args: argparse.Namespace, comparison: Comparison) -> None:
    """Write comparison.png, dots of both runs, and comparison.html."""
    from utils.report import Figures, Pictures, Section, Table, Text, write_report
    from utils.scatter_plot import plot_pairs

    low, high = comparison.interval()
    own, picture = comparison.differences, args.folder / "comparison.png"
    pairs = [(comparison.first[key], comparison.second[key]) for key in comparison.keys]
    plot_pairs(np.array(pairs), args.column, (args.first.name, args.second.name), picture)
    first, second = np.mean(pairs, axis=0).tolist()
    items = [(f"{args.first.name}, mean", first), (f"{args.second.name}, mean", second)]
    items += [("difference", float(own.mean())), ("95 % from", low), ("to", high)]
    items += [("higher in the second", int((own > 0).sum())), ("of", len(own))]
    rows = [[row[name] for name in COLUMNS] for row in comparison.rows()]
    note = f"{comparison.alone} scores that only one of the runs has are left out."
    sections: list[Section] = [
        Text("In words", [in_words(args, comparison)]),
        Figures("In short", items),
        Pictures("Case by case", [("above the line the second run is better", picture)]),
        Table("Scores", [*COLUMNS[:2], args.first.name, args.second.name, COLUMNS[-1]], rows, note),
    ]
    write_report(args.folder / "comparison.html", f"{args.second.name} against {args.first.name}", sections)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
