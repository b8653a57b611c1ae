"""A study of recipes: python -m benchmarks.study --table kidney --slides FOLDER --labels CSV.

Rows and what they change stand in benchmarks/studies. Each row and seed is a run of train_net.py in a folder of its
own; a finished one is not run again and a stopped one goes on. All rows with one seed come before the next seed, so
that a study that is stopped compares all rows alike. Results so far lie in results.csv, table.md and dice.png.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import FOLDER
from benchmarks.study_page import fill_page, write_results
from benchmarks.study_run import CellError, Study
from benchmarks.study_table import load_table
from config import ConfigError
from config.run import ALL_GOOD, SOME_FAILED, script


@script
def main(argv: Sequence[str]) -> int:
    """Run what is missing, then write what there is; 1 if a run failed."""
    args = parse_args(argv)
    table = load_table(args.table, given_options(args))
    study, rows = Study(table, args.folder / table.name, args.budget), table.plan(args.rows)
    failed = []
    for number, (seed, row) in enumerate([(seed, row) for seed in args.seeds for row in rows], start=1):
        begun = time.monotonic()
        try:
            dice = study.run(row, seed)["dice"]
        except (CellError, ValueError) as error:
            failed.append(f"{row.name} seed {seed}: {error}")
            print(f"-- failed: {failed[-1]}", flush=True)
            continue
        minutes, place = (time.monotonic() - begun) / 60, f"{number} of {len(rows) * len(args.seeds)}"
        print(f"-- {place}: {row.name} seed {seed} Dice {dice:.3f}, {minutes:.1f} minutes", flush=True)
        write_results(study)
    if args.page and len(failed) < len(rows) * len(args.seeds):
        fill_page(args.page, study)
    print("".join(f"-- failed: {text.splitlines()[0]}\n" for text in failed), end="")
    return SOME_FAILED if failed else ALL_GOOD


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare recipes, each trained with several seeds.")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options of every row that does not set them")
    parser.add_argument("--table", required=True, help="a name in benchmarks/studies, or a YAML file")
    parser.add_argument("--slides", default="", metavar="FOLDER", help="DATASETS.WSI_FOLDER")
    parser.add_argument("--labels", default="", metavar="CSV", help="DATASETS.LABELS_CSV")
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="these alone, and the base; else all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="seeds of every row")
    parser.add_argument("--budget", type=float, default=1.0, help="images seen, as a fraction of those of a full run")
    parser.add_argument("--folder", type=Path, default=FOLDER / "study", help="where the runs and results lie")
    parser.add_argument("--page", type=Path, help="page of the docs whose marks the table and picture are put between")
    args = parser.parse_intermixed_args(argv)
    if not args.budget > 0:
        raise ConfigError([f"--budget is {args.budget}; it must be above 0"])
    return args


def given_options(args: argparse.Namespace) -> dict[str, str]:
    """The options of the command line."""
    if len(args.options) % 2:
        raise ConfigError([f"options must come as KEY VALUE pairs; {args.options[-1]!r} has no partner"])
    paths = {"DATASETS.WSI_FOLDER": args.slides, "DATASETS.LABELS_CSV": args.labels}
    pairs = zip(args.options[::2], args.options[1::2], strict=True)
    return {**{key: value for key, value in paths.items() if value}, **dict(pairs)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
