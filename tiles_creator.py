"""Slides and labels -> image and mask tiles on disk, with an index."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from apps.dry_run import list_plan
from config import config_mistakes, parse_args, read_cfg
from config.check import check_cfg, label_options
from config.lock import lock
from config.run import exit_code, print_result, script, start_log, start_run
from utils.atomic import without_drafts

if TYPE_CHECKING:
    from data.cases import CaseTable

log = logging.getLogger(__name__)


@script
def main(argv: Sequence[str]) -> int:
    """Cut every labelled case into tiles; returns the exit code."""
    args = parse_args(argv, "Cut slides and their labels into tiles for training.", dry=True)
    cfg, mistakes = read_cfg(args.config_file, args.options)
    check_cfg(cfg, ["DATASETS.WSI_FOLDER", "DATASETS.ID_CSV", *label_options(cfg)], mistakes)
    from data.case import refuse_same_names
    from data.cases import list_cases

    if args.dry_run:
        return list_plan(cfg, list_cases, f"cut into tiles below {cfg.DATASETS.TRAIN_FOLDER}")
    so_far = start_log()
    with lock(Path(cfg.DATASETS.TRAIN_FOLDER)) as folder, without_drafts(folder):
        with config_mistakes():  # before the run begins: no folder is left of a table that cannot be read
            table = list_cases(cfg)
        run = start_run(cfg, folder, so_far)
        return cut_tiles(cfg, run, refuse_same_names(table, run))


def cut_tiles(cfg: CfgNode, run: Path, table: "CaseTable") -> int:
    """Cut all cases, then write index, card and failures."""
    from data.manifest import build_manifest, write_manifest
    from data.patches.statistics import PixelStatistics
    from data.patches.tiles import TileRow, build_tile_folder, cut_case, describe_set, finish_tiles, start_tiles
    from data.sources.opening import build_reader
    from utils.failures import Failures
    from utils.progress import track

    failures = Failures(table.problems, run / "config.yaml")
    write_manifest(run / "manifest.csv", build_manifest(cfg, table.cases, failures))
    folder, reader, statistics = build_tile_folder(cfg), build_reader(cfg), PixelStatistics()
    start_tiles(folder)
    rows: list[TileRow] = []
    spacings: dict[str, float | None] = {}
    for case in track(table.cases, "slides", len(table.cases)):
        with failures.guard(case.id, case.image.name):
            own, spacings[case.id] = cut_case(case, reader, folder, statistics)
            log.info("%s: %d tiles, %d with foreground", case.id, len(own), sum(row.foreground > 0 for row in own))
            rows += own
    finish_tiles(folder, rows, describe_set(folder, reader.classes, statistics, spacings))
    failures.write(run / "failures.csv")
    print_result(f"{len(rows)} tiles in {folder.images}")
    print_result(f"failed {len(failures.ids)} of {len(failures.ids | {case.id for case in table.cases})} cases")
    return exit_code(failures.ids)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
