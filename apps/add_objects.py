"""Adds outlined objects to a table of run lengths: python -m apps.add_objects outlines reviewed.csv KEY VALUE."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from config import ConfigError, config_mistakes, read_cfg
from config.check import check_cfg
from config.run import exit_code, print_result, script

if TYPE_CHECKING:
    import pandas as pd

    from data.cases import Case, CaseTable
    from data.sources.opening import CaseReader
    from data.sources.source import Source

STRIP = 512  # columns that are united at a time


@script
def main(argv: Sequence[str]) -> int:
    """Write DATASETS.LABELS_CSV once more, with the objects of a folder of outlines; returns the exit code."""
    args = parse_args(argv)
    cfg, mistakes = read_cfg(args.config_file, args.options)
    check_cfg(cfg, ["DATASETS.WSI_FOLDER", "DATASETS.LABELS_CSV"], mistakes)
    from data.cases import list_cases
    from data.sources.opening import build_reader
    from utils.failures import Failures
    from utils.tables import read_table, write_table

    with config_mistakes():
        rows = read_table(Path(cfg.DATASETS.LABELS_CSV), ["id", cfg.DATASETS.RLE_COLUMN])
        table = list_cases(cfg)
        pairs = find_outlines(args.outlines, table)
    if "class" not in rows:
        rows["class"] = cfg.DATASETS.CLASSES[0]  # what such a table means, once it has lines of others beside them
    reader, failures = build_reader(cfg), Failures(table.problems)
    for case, path in pairs:
        with failures.guard(case.id, path.name):
            rows = with_texts(rows, case.id, unite(reader, case, path), cfg.DATASETS.RLE_COLUMN)
    columns = list(rows.columns)
    write_table(args.csv, [dict(zip(columns, row, strict=True)) for row in rows.to_numpy()], columns)
    added = sum(case.id not in failures.ids for case, _ in pairs)
    print_result(f"{added} of {len(table.cases)} cases with objects added, in {args.csv}")
    return exit_code(failures.ids)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Add objects that a table of run lengths lacks. Every line of DATASETS.LABELS_CSV is kept; where "
        "the folder has <id>.geojson (or ASAP or ImageScope XML), what it outlines is added to the line of that id."
    )
    parser.add_argument("outlines", type=Path, help="folder of the outlines, a file for each case that has some")
    parser.add_argument("csv", type=Path, help="where to write the table")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the config")
    parser.add_argument("--config-file", default="", metavar="YAML", help="the config of the training")
    return parser.parse_intermixed_args(argv)


def find_outlines(folder: Path, table: "CaseTable") -> "list[tuple[Case, Path]]":
    """The good cases that have a file of outlines; raises ConfigError where a file is of no case, or there is none."""
    from data.sources.file_name import ending, stem
    from data.sources.label_file import LABEL_READERS

    files = sorted(path for path in folder.glob("*") if ending(path) in LABEL_READERS)
    ids = [stem(path) for path in files]
    by_id, known = {case.id: case for case in table.cases}, {problem.id for problem in table.problems}
    mistakes = [f"{path} is of no slide" for path, own in zip(files, ids, strict=True) if own not in {*by_id, *known}]
    mistakes += [f"{folder} has several files of {own}" for own in sorted(set(ids)) if ids.count(own) > 1]
    if mistakes or not files:
        raise ConfigError(mistakes or [f"{folder} holds no outlines ({', '.join(sorted(LABEL_READERS))})"])
    return [(by_id[own], path) for own, path in zip(ids, files, strict=True) if own in by_id]


def unite(reader: "CaseReader", case: "Case", path: Path) -> dict[str, str]:
    """Run lengths by class of a case's labels with what a file outlines, which counts where classes differ."""
    from data.sources import open_source
    from data.sources.labels import open_labels
    from utils.rle import encode_strips

    with open_source(case.image) as image:
        shape = image.shape
    old = open_labels(replace(case, labels=case.labels or {}), shape, reader.names, reader.to_classes)
    new = open_labels(replace(case, labels=path), shape, reader.names, reader.to_classes)
    return {
        name: "".join(encode_strips(([strip == index] for strip in strips(old, new)), shape[0]))
        for index, name in enumerate(reader.classes, start=1)
    }


def strips(old: "Source", new: "Source") -> Iterator[np.ndarray]:
    """Class indices (rows, columns) of columns from left to right, with those of `new` laid over those of `old`."""
    from data.patches.grid import Box
    from data.sources.runs import IGNORE

    rows, columns = old.shape
    for first in range(0, columns, STRIP):
        box = Box((0, first), (rows, min(STRIP, columns - first)))
        under, over = old.read(box)[..., 0], new.read(box)[..., 0]
        yield np.where((over > 0) & (over != IGNORE), over, under)


def with_texts(rows: "pd.DataFrame", case_id: str, texts: Mapping[str, str], column: str) -> "pd.DataFrame":
    """The table with a case's run lengths by class in place of its own, and lines for classes that it had none of."""
    import pandas as pd

    rows = rows.copy()
    for name, text in texts.items():
        own = (rows["id"] == case_id) & (rows["class"] == name)
        if own.any():
            rows.loc[own, column] = text
        elif text:
            line = dict.fromkeys(rows.columns, "") | {"id": case_id, "class": name, column: text}
            rows = pd.concat([rows, pd.DataFrame([line])])
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
