"""Writes the id CSV of pairs or of a Roboflow export: python -m apps.list_pairs --config-file YAML id.csv."""

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from config import ConfigError, config_mistakes, load_cfg
from config.run import exit_code, print_result, script
from data.cases import Case, list_pairs
from data.manifest import Entry, case_files, copies, describe_files
from data.roboflow_cases import list_roboflow
from utils.failures import Failure, Failures
from utils.tables import write_table


@script
def main(argv: Sequence[str]) -> int:
    """Write id, group and split of every image that has a mask, and name those that have none; the exit code."""
    args = parse_args(argv)
    cfg = load_cfg(args.config_file, args.options)
    list_them = list_roboflow if cfg.DATASETS.LAYOUT == "roboflow" else list_pairs
    folder = Path(cfg.DATASETS.WSI_FOLDER)
    if not folder.is_dir():
        raise ConfigError([f"DATASETS.WSI_FOLDER is {str(folder)!r}, which is no folder"])
    with config_mistakes():
        table = list_them(cfg, folder, "")
    failures = Failures(table.problems)
    paired = [case for case in table.cases if case.labels is not None]
    if not 0 <= args.held_out < max(len(paired), 1):
        raise ConfigError([f"--held-out is {args.held_out}; there are {len(paired)} pairs"])
    entries = describe_files(case_files(paired), [folder], True, failures)
    rows = split_rows(paired, join_groups(paired, entries), args.held_out, cfg.SEED)
    write_table(args.csv, rows, ["id", "group", "split"])
    for case in table.cases:
        if case.labels is None:
            failures.add(Failure(case.id, case.image.name, "has no mask"))
    print_result(f"{len(rows)} pairs in {args.csv}, {sum(row['split'] == 'test' for row in rows)} held out")
    return exit_code(failures.ids)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="List the pairs of DATASETS.IMAGES and DATASETS.MASKS, or of an export."
    )
    parser.add_argument("csv", type=Path, help="where to write the table")
    parser.add_argument("--config-file", default="", metavar="YAML", help="options that differ from config/defaults.py")
    parser.add_argument("--held-out", type=int, default=0, metavar="N", help="draw N cases, seeded, for split 'test'")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the file's")
    return parser.parse_intermixed_args(argv)


def join_groups(cases: Sequence[Case], entries: Sequence[Entry]) -> dict[str, str]:
    """The group that takes each group in: its own, or an earlier one that has a picture of it too."""
    group_of = {case.id: case.group for case in cases}
    joined = {case.group: case.group for case in cases}
    for one, other in copies(entries):
        target, source = joined[group_of[one.id]], joined[group_of[other.id]]
        if target != source:
            print_result(f"{one.file} and {other.file} are the same picture: {other.id} joins the group {target}")
            joined = {group: target if own == source else own for group, own in joined.items()}
    return joined


def split_rows(cases: Sequence[Case], joined: Mapping[str, str], held_out: int, seed: int) -> list[dict[str, str]]:
    """Rows of the table; whole groups, as they are joined, are drawn for 'test' until at least `held_out` cases are."""
    groups = sorted(joined)
    random.Random(seed).shuffle(groups)
    drawn: set[str] = set()
    for group in groups:
        if sum(joined[case.group] in drawn for case in cases) >= held_out:
            break
        drawn.add(joined[group])
    rows = [(case.id, joined[case.group]) for case in cases]
    return [{"id": name, "group": group, "split": "test" if group in drawn else "train"} for name, group in rows]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
