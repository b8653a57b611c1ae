"""Predicts unlabelled images with each fold of a run: python -m apps.pseudo_labels output/train/kidney KEY VALUE."""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from config import ConfigError, config_mistakes, read_cfg
from config.check import check_cfg
from config.load import all_keys
from config.lock import lock
from config.resume import STATES
from config.run import exit_code, print_result, script, start_run
from train_net import load_predictor, weights_path
from utils.atomic import without_drafts

if TYPE_CHECKING:
    from data.cases import Case, CaseTable
    from data.pseudo_labels import FoldCard
    from utils.failures import Failures

FOLDER = "pseudo_labels"  # in the run
MAKE_MAPS = (
    *["TILES.", "DATASETS.CROP", "DATASETS.SPACING_UM"],
    *["TEST.PATCH", "TEST.OVERLAP", "TEST.BLEND", "TEST.ENGINE", "TEST.TTA"],
)


@script
def main(argv: Sequence[str]) -> int:
    """Predict DATASETS.UNLABELLED_FOLDER with each fold's network, each into its own folder; returns the exit code."""
    args = parse_args(argv)
    cfg, mistakes = read_cfg(str(args.run / "config.yaml"), args.options)
    check_cfg(cfg, ["DATASETS.UNLABELLED_FOLDER", "DATASETS.ID_CSV"], mistakes)
    with config_mistakes():
        cards, table = describe_folds(cfg, args.run), find_cases(cfg, args.run)
    with lock(args.run / FOLDER) as root, without_drafts(root):
        from data.pseudo_labels import write_card

        with config_mistakes():
            for card in cards:
                write_card(root, card)
        start_run(cfg, root)
        return predict(cfg, args.run, cards, table)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Predict unlabelled images with each fold's network of a finished run, for train_net.py to learn "
        f"from with DATASETS.PSEUDO_LABELS. Maps go to the run's folder {FOLDER}; those that are there are kept."
    )
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the run's")
    return parser.parse_args(argv)


def describe_folds(cfg: CfgNode, run: Path) -> "list[FoldCard]":
    """Who is going to make the maps: the networks of SOLVER.FOLDS, or of all folds that the run has."""
    from data.pseudo_labels import FoldCard
    from data.stitching.mask import by_class
    from model.checkpoints import load_card

    if (run / STATES).exists():
        raise ConfigError([f"{run} has not come to its end; go on with it by train_net.py --resume"])
    options = {key: value for key, value in all_keys(cfg) if key.startswith(MAKE_MAPS)}
    found = sorted(int(path.stem.removeprefix("fold")) for path in (run / "weights").glob("fold*.safetensors"))
    cards = []
    for fold in cfg.SOLVER.FOLDS or found:
        path = weights_path(run, fold)
        card = load_card(path)
        if card.threshold is None:
            raise ConfigError([f"{path} carries no tuned threshold"])
        thresholds = card.thresholds or by_class(card.threshold, len(card.classes))
        with path.open("rb") as file:
            weights = hashlib.file_digest(file, "sha256").hexdigest()
        made_by = card.classes, card.reduction, card.spacing_um, tuple(thresholds), card.validation_ids
        by_axis = card.reductions, card.spacings_um, card.sides
        cards.append(FoldCard(fold, *made_by, weights, options, *by_axis))
    if not cards:
        raise ConfigError([f"{run / 'weights'} holds no weights of a fold"])
    return cards


def find_cases(cfg: CfgNode, run: Path) -> "CaseTable":
    """The unlabelled cases; raises ValueError for one that the run has learnt from or was scored on."""
    from data.cases import list_unlabelled_cases
    from data.pseudo_labels import refuse_labelled
    from utils.tables import read_table

    table = list_unlabelled_cases(cfg)
    refuse_labelled(table.cases, list(read_table(run / "folds.csv", ["id"])["id"]))
    return table


def predict(cfg: CfgNode, run: Path, cards: "Sequence[FoldCard]", table: "CaseTable") -> int:
    """Make the maps that are missing, fold by fold, and note what was read; returns the exit code."""
    from data.manifest import DataFile, case_files, describe_files, write_manifest
    from utils.failures import Failures

    failures, root = Failures(table.problems), run / FOLDER
    files = [*case_files(table.cases), *(DataFile("weights", weights_path(run, card.fold)) for card in cards)]
    roots = [Path(cfg.DATASETS.UNLABELLED_FOLDER), run]
    write_manifest(root / "manifest.csv", describe_files(files, roots, cfg.DATASETS.HASHES, failures))
    for card in cards:
        predict_fold(cfg, run, card, [case for case in table.cases if case.id not in failures.ids], failures)
    failures.write(root / "failures.csv")
    count = len(failures.ids | {case.id for case in table.cases})
    print_result(f"failed {len(failures.ids)} of {count} cases")
    print_result(f"learn from them with DATASETS.PSEUDO_LABELS {root}")
    return exit_code(failures.ids)


def predict_fold(cfg: CfgNode, run: Path, card: "FoldCard", cases: "Sequence[Case]", failures: "Failures") -> None:
    """Make the maps of one fold that are missing, and a picture of each with the outlines of what was found."""
    from data.pseudo_labels import fold_folder
    from data.sources.opening import build_reader
    from data.stitching.case import build_inference
    from data.writers.maps import predict_maps
    from data.writers.results import Results, evaluate_case

    reader, inference = build_reader(cfg), build_inference(cfg, card.scale)
    load, results = partial(load_predictor, cfg, run, card.fold), Results(fold_folder(run / FOLDER, card.fold))
    maps = predict_maps(cases, reader, inference, load, results, failures, f"cases by fold {card.fold}")
    for case in cases:
        if case.id in maps and not results.overlay(case.id).exists():
            with failures.guard(case.id, case.image.name):
                evaluate_case(case, reader, maps[case.id], card.thresholds, results, cfg.TEST.OVERLAY_PX)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
