"""Tiles or pairs -> one checkpoint and history a fold, and out-of-fold masks of whole cases."""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from yacs.config import CfgNode

from config import ConfigError, config_mistakes, parse_args, read_cfg
from config.check import check_cfg, label_options
from config.run import SOME_FAILED, exit_code, print_result, run_name, script, start_run

if TYPE_CHECKING:
    from data.cases import Case
    from data.patches.build import TrainingSet
    from data.stitching.probability_map import ProbabilityMap
    from data.writers.folds import FoldSummary
    from model.predictor import Predictor
    from utils.failures import Failures

log = logging.getLogger(__name__)


@script
def main(argv: Sequence[str]) -> int:
    """Train the folds, then tune the threshold on whole cases out of fold; returns the exit code."""
    args = parse_args(argv, "Train a network by folds and tune its threshold on whole cases out of fold.")
    cfg, mistakes = read_cfg(args.config_file, args.options)
    tiles = ["DATASETS.TRAIN_FOLDER"] * (cfg.DATASETS.LAYOUT == "slides")
    check_cfg(
        cfg, ["DATASETS.WSI_FOLDER", "DATASETS.ID_CSV", "DATASETS.FOLDS_CSV", *tiles, *label_options(cfg)], mistakes
    )
    folder = Path(cfg.OUTPUT_DIR) / run_name(cfg)
    if (folder / "weights").exists():
        raise ConfigError([f"RUN_NAME: {folder} holds a trained run; choose another name or remove it"])
    earlier = Path(args.config_file).with_name("manifest.csv") if args.config_file else None
    return train(cfg, start_run(cfg, folder), earlier)


def train(cfg: CfgNode, run: Path, earlier: Path | None) -> int:
    """Train each fold, predict the cases that it did not see, tune the threshold and report."""
    from utils.failures import Failures

    failures = Failures()
    try:
        return train_folds(cfg, run, earlier, failures)
    finally:
        failures.write(run / "failures.csv")


def train_folds(cfg: CfgNode, run: Path, earlier: Path | None, failures: "Failures") -> int:
    """The steps of a run; returns the exit code. `earlier` is the manifest of the run that this one repeats, if any."""
    from data.patches.folds import validated_folds
    from model.callbacks.stop import TrainingError

    cases, data, fold_of = prepare(cfg, run, failures)
    note_data(cfg, run, cases, earlier, failures)
    summaries = show_folds(run, cases, data, fold_of)
    folds = cfg.SOLVER.FOLDS or validated_folds(fold_of[sample.case_id] for sample in data.samples)
    history: list[dict] = []
    try:
        for fold in folds:
            train_fold(cfg, run, data, fold_of, fold, history)
    except TrainingError as error:
        log.error("%s", error)
        return SOME_FAILED
    maps = predict_out_of_fold(cfg, run, [case for case in cases if fold_of[case.id] in folds], fold_of, failures)
    threshold = tune_threshold(cfg, run, [case for case in cases if case.id in maps], maps, failures)
    scored = [case for case in cases if case.id in maps and case.id not in failures.ids]
    if not scored:
        log.error("no case could be predicted and scored; see %s", run / "failures.csv")
        return SOME_FAILED
    dice = report(cfg, run, scored, maps, threshold, summaries, failures)
    if failures.ids >= {case.id for case in scored}:
        log.error("no case could be scored; see %s", run / "failures.csv")
        return SOME_FAILED
    print_result(f"failed {len(failures.ids)} of {len(failures.ids | set(fold_of))} cases")
    print_result(f"out-of-fold Dice {dice:.3f} at threshold {threshold:.2f}")
    return exit_code(failures.ids)


def prepare(cfg: CfgNode, run: Path, failures: "Failures") -> "tuple[list[Case], TrainingSet, dict[str, int]]":
    """Usable cases, their samples and the fold of each id; what cannot work at all is a mistake of the config."""
    from data.cases import list_cases
    from data.patches.build import build_folds, build_training_set
    from model.custom_models import build_model
    from model.torch_network import choose_engine

    with config_mistakes():
        build_model(cfg)  # a wrong name or file is found before anything slow
        choose_engine(cfg.TEST.ENGINE)
        table = list_cases(cfg)
        for problem in table.problems:
            failures.add(problem)
        data = build_training_set(cfg, table.cases, failures)
        cases = [case for case in table.cases if case.id in data.case_ids]
        fold_of = build_folds(cfg, cases, data)
    return cases, data, fold_of


def note_data(cfg: CfgNode, run: Path, cases: "Sequence[Case]", earlier: Path | None, failures: "Failures") -> None:
    """Leave in the run folder what is learnt from, file by file; one image in two groups is a mistake of the config."""
    from data.manifest import DataFile, build_manifest, refuse_copies, warn_of_changes, write_manifest
    from data.patches.tiles import build_tile_folder

    more = []
    if cfg.DATASETS.LAYOUT == "slides":
        tiles = build_tile_folder(cfg)
        more += [DataFile("tiles", tiles.images), DataFile("tiles", tiles.masks)]
    if Path(cfg.MODEL.ENCODER_WEIGHTS).is_file():
        more.append(DataFile("weights", Path(cfg.MODEL.ENCODER_WEIGHTS)))
    entries = build_manifest(cfg, cases, failures, more)
    with config_mistakes():
        refuse_copies(entries, {case.id: case.group for case in cases})
    write_manifest(run / "manifest.csv", entries)
    if earlier and earlier.is_file():
        warn_of_changes(earlier, entries)


def show_folds(run: Path, cases: "Sequence[Case]", data: "TrainingSet", fold_of: dict[str, int]) -> "list[FoldSummary]":
    """Leave the folds in the run folder, as a table to reuse and as a picture; what each of them holds."""
    from data.writers.folds import summarise_folds, write_folds

    patches = Counter(sample.case_id for sample in data.samples)
    summaries = summarise_folds(cases, fold_of, patches, data.foreground)
    write_folds(run, cases, fold_of, summaries)
    return summaries


def train_fold(
    cfg: CfgNode, run: Path, data: "TrainingSet", fold_of: dict[str, int], fold: int, history: list[dict]
) -> None:
    """Train one fold; leaves its weights, the history so far and sample pictures in the run folder."""
    from data.patches.build import build_dataloaders
    from data.writers.samples import write_samples
    from model.callbacks.history import COLUMNS, History
    from model.card import build_card
    from model.custom_models import build_model
    from model.learner import build_learner, fit, keep_weights, plot_rates
    from utils.plots import plot_history
    from utils.seed import seed_everything
    from utils.tables import write_table

    if cfg.SOLVER.FIND_LR:
        trial = build_learner(build_dataloaders(cfg, data, fold_of, fold), build_model(cfg), cfg)
        plot_rates(trial, run / f"lr_finder_fold{fold}.png")
    seed_everything(cfg.SEED + fold)
    dls = build_dataloaders(cfg, data, fold_of, fold)
    model = build_model(cfg)
    validation_ids = tuple(case_id for case_id, own in fold_of.items() if own == fold)
    card = replace(build_card(cfg, data.mean, data.std, data.spacing_um), fold=fold, validation_ids=validation_ids)
    keep = keep_weights(model, card, best=weights_path(run, fold), last=run / "last_epoch" / f"fold{fold}.safetensors")
    note = History(fold, history, lambda: write_table(run / "history.csv", history, COLUMNS))
    learner = build_learner(dls, model, cfg, [note, keep])
    fit(learner, cfg)
    plot_history(history, run / "history.png")
    write_samples(run / f"samples_fold{fold}.png", dls.valid.dataset.samples, load_predictor(cfg, run, fold))


def weights_path(run: Path, fold: int) -> Path:
    """Where the best epoch of a fold is kept."""
    return run / "weights" / f"fold{fold}.safetensors"


def load_predictor(cfg: CfgNode, run: Path, fold: int) -> "Predictor":
    """The best network of a fold, to predict with."""
    from model.predictor import Predictor, load_member

    return Predictor([load_member(cfg, weights_path(run, fold))], cfg.TEST.TTA)


def predict_out_of_fold(
    cfg: CfgNode, run: Path, cases: "Sequence[Case]", fold_of: dict[str, int], failures: "Failures"
) -> "dict[str, ProbabilityMap]":
    """Probability maps of whole cases, by id, each by the fold that did not see it."""
    from data.patches.scale import build_scale
    from data.sources.opening import build_reader
    from data.stitching.case import build_inference, open_cases
    from data.writers.results import Results
    from utils.progress import track

    reader, inference = build_reader(cfg), build_inference(cfg, build_scale(cfg))
    results, maps = Results(run), {}
    for fold in sorted({fold_of[case.id] for case in cases}):
        predictor = load_predictor(cfg, run, fold)
        own = [case for case in cases if fold_of[case.id] == fold]
        opened_cases = open_cases(own, reader, inference, run)
        for case, opening in track(opened_cases, f"fold {fold} cases", len(own)):
            with failures.guard(case.id, case.image.name), opening() as opened:
                maps[case.id] = opened.predict(predictor, results.probabilities(case.id), track)
    return maps


def tune_threshold(
    cfg: CfgNode, run: Path, cases: "Sequence[Case]", maps: "dict[str, ProbabilityMap]", failures: "Failures"
) -> float:
    """Threshold of the highest Dice pooled over whole cases; it is kept with the weights, its curve in the run."""
    from data.scoring import case_histograms
    from data.sources.opening import build_reader
    from data.writers.curve import write_threshold_curve
    from model.checkpoints import set_threshold
    from utils.metrics import LEVELS, best_threshold

    reader = build_reader(cfg)
    histograms = np.zeros((2, LEVELS), np.int64)
    for case in cases:
        with failures.guard(case.id, case.image.name), reader.open_both(case) as (_, labels):
            histograms += case_histograms(maps[case.id], labels).sum(0)
    threshold, _ = best_threshold(histograms)
    if not histograms.any():
        return threshold
    write_threshold_curve(run, histograms, threshold)
    for path in sorted((run / "weights").glob("*.safetensors")):
        set_threshold(path, threshold)
    return threshold


def report(
    cfg: CfgNode,
    run: Path,
    cases: "Sequence[Case]",
    maps: "dict[str, ProbabilityMap]",
    threshold: float,
    folds: "Sequence[FoldSummary]",
    failures: "Failures",
) -> float:
    """Clean, score and draw the cases at the tuned threshold, write the run's report; the pooled Dice."""
    from data.scoring import pooled_confusion
    from data.sources.opening import build_reader
    from data.stitching.postprocess import clean_case
    from data.writers.folds import score_folds, write_fold_scores
    from data.writers.results import Results, evaluate_case, write_results_report, write_scores
    from utils.report import Pictures

    reader, results, scores, test = build_reader(cfg), Results(run), [], cfg.TEST
    for case in cases:
        with failures.guard(case.id, case.image.name):
            cleaned = results.cleaned(case.id)
            final = clean_case(maps[case.id], cleaned, threshold, test.MIN_OBJECT, test.MAX_HOLE)
            scores += evaluate_case(case, reader, final, threshold, results, test.OVERLAY_PX)
    write_scores(run / "scores.csv", scores, reader.classes)
    plots = [("Loss and Dice by epoch", run / "history.png"), ("Dice against threshold", run / "dice_threshold.png")]
    samples = [(path.stem.replace("_", " "), path) for path in sorted(run.glob("samples_fold*.png"))]
    by_fold = write_fold_scores(run, score_folds(folds, scores))
    more = [*by_fold, Pictures("Training", plots), Pictures("Validation patches", samples)]
    ids, failed, config = [case.id for case in cases], failures.rows, cfg.dump(sort_keys=False)
    title = f"Out-of-fold masks of {run.name}"
    page = write_results_report(results, title, ids, scores, reader.classes, threshold, failed, config, more)
    log.info("report %s", page)
    return pooled_confusion(scores).dice


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
