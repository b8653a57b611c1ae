"""Writes the sizes of a folder's slides as a table: python -m apps.list_slides slides ids.csv."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from config import ConfigError
from config.run import exit_code, print_result, script
from data.cases import find_slides
from data.sources import open_source
from utils.failures import Failures
from utils.tables import write_table

COLUMNS = ["id", "file", "rows", "columns", "channels", "levels", "spacing_um"]


@script
def main(argv: Sequence[str]) -> int:
    """Open every slide of a folder and write a row of it; returns the exit code."""
    args = parse_args(argv)
    if not args.folder.is_dir():
        raise ConfigError([f"{str(args.folder)!r} is no folder"])
    slides, problems = find_slides(args.folder)
    failures, rows = Failures(problems), []
    for case_id, path in slides:
        with failures.guard(case_id, path.name):
            rows.append(describe(case_id, path))
    write_table(args.csv, rows, COLUMNS)
    unknown = sum(row["spacing_um"] == "" for row in rows)
    print_result(f"{len(rows)} slides in {args.csv}, {unknown} without a pixel size")
    return exit_code(failures.ids)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="List the slides of a folder with their sizes. Once the gaps in its column spacing_um are "
        "filled in, the table may serve as DATASETS.ID_CSV."
    )
    parser.add_argument("folder", type=Path, help="folder of the slides")
    parser.add_argument("csv", type=Path, help="where to write the table")
    return parser.parse_args(argv)


def describe(case_id: str, path: Path) -> dict[str, object]:
    """The row of a slide; its pixel size in um, the larger side of a pixel, is empty where the file states none."""
    with open_source(path) as source:
        rows, columns = source.shape
        spacing_um = max(source.spacing_um) if source.spacing_um else ""
        sizes = {"rows": rows, "columns": columns, "channels": source.channels, "levels": len(source.level_shapes)}
    return {"id": case_id, "file": path.name, **sizes, "spacing_um": spacing_um}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
