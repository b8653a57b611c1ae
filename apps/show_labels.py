"""Draws the labels of every case over its image: python -m apps.show_labels --config-file YAML folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from config import config_mistakes, read_cfg
from config.check import check_cfg, label_options
from config.run import exit_code, print_result, script


@script
def main(argv: Sequence[str]) -> int:
    """Write a picture of each case, and name those whose labels cannot be read; the exit code."""
    args = parse_args(argv)
    cfg, mistakes = read_cfg(args.config_file, args.options)
    check_cfg(cfg, ["DATASETS.WSI_FOLDER", "DATASETS.ID_CSV", *label_options(cfg)], mistakes)
    from data.cases import list_cases
    from data.sources.opening import build_reader
    from data.writers.overlay import write_labels
    from utils.failures import Failures
    from utils.plots import class_colours

    with config_mistakes():
        table = list_cases(cfg)
    failures, reader = Failures(table.problems), build_reader(cfg)
    for case in table.cases:
        with failures.guard(case.id, case.image.name), reader.open_both(case) as (image, labels):
            write_labels(args.folder / f"{case.id}.jpg", image, labels, reader.classes, cfg.TEST.OVERLAY_PX)
    failures.write(args.folder / "failures.csv")
    print_result(", ".join(f"{name} {colour}" for name, colour in class_colours(reader.classes).items()))
    print_result(f"{len(table.cases)} cases in {args.folder}, {len(failures.ids)} failed")
    return exit_code(failures.ids)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw the labels of every case over its image.")
    parser.add_argument("folder", type=Path, help="where to write <id>.jpg and failures.csv")
    parser.add_argument("--config-file", default="", metavar="YAML", help="options that differ from config/defaults.py")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the file's")
    return parser.parse_intermixed_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
