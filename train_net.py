"""Tiles or pairs -> one checkpoint and history a fold, and out-of-fold masks of whole cases."""

import logging
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from apps.dry_run import list_training
from config import ConfigError, config_mistakes, parse_args, read_cfg
from config.check import check_cfg, label_options, learns_from_tiles, pseudo_options
from config.load import all_keys
from config.lock import lock
from config.resume import STATES, choose_run
from config.run import ALL_GOOD, SOME_FAILED, exit_code, print_result, script, start_log, start_run
from utils.atomic import without_drafts
from utils.ranks import agree, check_ranks, is_writer, ranks

if TYPE_CHECKING:
    from data.cases import Case
    from data.manifest import Entry
    from data.patches.training_set import TrainingSet
    from data.stitching.probability_map import ProbabilityMap
    from data.tuning import Rules
    from data.writers.folds import FoldSummary
    from model.predictor import Predictor
    from utils.failures import Failures
    from utils.loggers.opening import Loggers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """What a run learns from: usable cases, their samples, the fold of each id and the files of it all."""

    cases: "Sequence[Case]"
    data: "TrainingSet"
    fold_of: dict[str, int]
    files: "Sequence[Entry]"

    def inside(self, fold: int) -> tuple[str, ...]:
        """Ids of the cases that a fold validates on."""
        return tuple(case_id for case_id, own in self.fold_of.items() if own == fold)


@script
def main(argv: Sequence[str]) -> int:
    """Train the folds, then tune the threshold on whole cases out of fold; returns the exit code."""
    args = parse_args(argv, "Train a network by folds and tune its threshold out of fold.", resumable=True, dry=True)
    cfg, mistakes = read_cfg(args.config_file, args.options)
    tiles = ["DATASETS.TRAIN_FOLDER"] * learns_from_tiles(cfg)
    paths = ["DATASETS.WSI_FOLDER", "DATASETS.ID_CSV", "DATASETS.FOLDS_CSV", *tiles, *label_options(cfg)]
    check_cfg(cfg, [*paths, *pseudo_options(cfg)], mistakes)
    with config_mistakes():
        check_ranks(cfg.SOLVER.BATCH_SIZE, cfg.SOLVER.FIND_LR)
    if args.dry_run:
        return list_training(cfg, choose_run(cfg, args.resume)[0])
    with ranks():
        folder, resumed = agree(choose_run(cfg, args.resume) if is_writer() else None)
        began = folder / "config.yaml" if resumed else args.config_file
        earlier = Path(began).with_name("manifest.csv") if began else None
        with lock(folder) if is_writer() else nullcontext(), without_drafts(folder) if is_writer() else nullcontext():
            return run_in(folder, cfg, resumed, earlier)


def run_in(folder: Path, cfg: CfgNode, resumed: bool, earlier: Path | None) -> int:
    """Look at the data, then train in a folder, as one of several processes perhaps; returns the exit code.

    `earlier` is the manifest of the run that this one repeats or goes on with, if any.
    """
    so_far = start_log()
    from utils.failures import Failures

    failures = Failures()
    material = prepare(cfg, failures)
    if not is_writer():
        is_trained = material is not None and train_folds(cfg, folder, material, choose_folds(cfg, material))
        return ALL_GOOD if is_trained else SOME_FAILED  # the writer does the rest
    run = start_run(cfg, folder, so_far, resumed)
    try:
        return train(cfg, run, material, earlier, failures) if material else SOME_FAILED
    finally:
        failures.write(run / "failures.csv")


def prepare(cfg: CfgNode, failures: "Failures") -> Material | None:
    """What there is to learn from, or None if all cases failed; what cannot work at all is a mistake of the config."""
    from utils.fastai_import import import_fastai

    import_fastai()
    from model.custom_models import build_model, check_network
    from model.network_options import build_trial_sizes
    from model.torch_network import choose_engine
    from utils.loggers.opening import check_loggers

    with config_mistakes():
        check_loggers(cfg.SOLVER.LOGGERS)
        # a wrong name, file or size is found before anything slow
        check_network(build_model(cfg), cfg.MODEL.IN_CHANNELS, build_trial_sizes(cfg))
        choose_engine(cfg.TEST.ENGINE)
        return gather(cfg, failures)


def gather(cfg: CfgNode, failures: "Failures") -> Material | None:
    """The cases and what they offer to learn from, or None if all failed; raises ValueError for what cannot work."""
    from data.cases import list_cases
    from data.manifest import build_training_manifest
    from data.patches.build import NothingToLearnError, build_folds, build_training_set
    from data.pseudo_labels import build_pseudo_labels

    table = list_cases(cfg)
    for problem in table.problems:
        failures.add(problem)
    try:
        data = build_training_set(cfg, table.cases, failures)
    except NothingToLearnError as error:
        if not failures.ids:
            raise
        log.error("%s", error)
        return None
    cases = [case for case in table.cases if case.id in data.case_ids]
    fold_of = build_folds(cfg, cases, data)
    pseudo = build_pseudo_labels(cfg, cases, fold_of, failures)
    files = build_training_manifest(cfg, cases, failures, pseudo.cases, pseudo.folders)
    return Material(cases, replace(data, pseudo=pseudo.samples), fold_of, files)


def train(cfg: CfgNode, run: Path, material: Material, earlier: Path | None, failures: "Failures") -> int:
    """Train each fold, predict the cases that it did not see, tune the threshold and report; returns the exit code."""
    from data.manifest import warn_of_changes, write_manifest

    (run / STATES).mkdir(exist_ok=True)
    summaries = note_folds(run, material)
    if earlier and earlier.is_file():
        warn_of_changes(earlier, material.files)
    write_manifest(run / "manifest.csv", material.files)
    folds = choose_folds(cfg, material)
    if not train_folds(cfg, run, material, folds):
        return SOME_FAILED
    return evaluate(cfg, run, material, folds, summaries, failures)


def choose_folds(cfg: CfgNode, material: Material) -> Sequence[int]:
    """The folds that SOLVER.FOLDS names, or all that have patches."""
    from data.patches.folds import validated_folds

    return cfg.SOLVER.FOLDS or validated_folds({material.fold_of[sample.case_id] for sample in material.data.samples})


def note_folds(run: Path, material: Material) -> "list[FoldSummary]":
    """Leave the folds in the run folder, as a table to reuse and as a picture; what each of them holds.

    A run that goes on must find its own folds there.
    """
    from data.patches.folds import fold_cell
    from data.writers.folds import summarise_folds, write_folds
    from utils.tables import read_table

    path, columns = run / "folds.csv", ["id", "group", "fold"]
    cases, fold_of = material.cases, material.fold_of
    rows = [{"id": case.id, "group": case.group, "fold": fold_cell(fold_of[case.id])} for case in cases]
    if path.exists() and read_table(path, columns)[columns].to_dict("records") != rows:
        raise ConfigError([f"{path} holds other cases or folds than there are now; bring them back or start a new run"])
    patches = Counter(sample.case_id for sample in material.data.samples)
    summaries = summarise_folds(cases, fold_of, patches, material.data.foreground)
    write_folds(run, cases, fold_of, summaries)
    return summaries


def train_folds(cfg: CfgNode, run: Path, material: Material, folds: Sequence[int]) -> bool:
    """Train the folds that are not trained yet; leaves weights, history and sample pictures in the run folder.

    False, with the reason in the log, if the training came to nothing.
    """
    from data.sources.source import SourceError
    from model.callbacks.history import read_history
    from model.training_errors import TrainingError

    history = read_history(run / "history.csv")
    try:
        for fold in folds:
            finish_fold(cfg, run, material, fold, history)
    except (TrainingError, SourceError) as error:
        log.critical("%s", str(error).splitlines()[-1])  # of a process that loads, the lines before are its traceback
        return False
    return True


def finish_fold(cfg: CfgNode, run: Path, material: Material, fold: int, history: list[dict]) -> None:
    """Train a fold unless it is trained, then draw what its best weights make of some samples."""
    from data.writers.samples import write_samples
    from utils.loggers.logger import Subject
    from utils.loggers.opening import Loggers
    from utils.plots import plot_dice_by_epoch, plot_history

    picture = run / f"samples_fold{fold}.png"
    is_trained, is_drawn = agree((last_epoch_path(run, fold).exists(), picture.exists()))
    if is_drawn:
        return
    names = cfg.SOLVER.LOGGERS if is_writer() else []
    with Loggers(names, Subject(run, f"fold{fold}", dict(all_keys(cfg)))) as loggers:
        if not is_trained:
            find_rate(cfg, run, material, fold, loggers)
            train_fold(cfg, run, material, fold, history, loggers)
        if is_writer():
            plot_history(history, run / "history.png")
            plot_dice_by_epoch(history, run / "dice_by_epoch.png")
            write_samples(picture, material.data.of(set(material.inside(fold))), load_predictor(cfg, run, fold))
            loggers.picture("samples_best", picture)


def train_fold(cfg: CfgNode, run: Path, material: Material, fold: int, history: list[dict], loggers: "Loggers") -> None:
    """Train one fold from its start or from its checkpoint; leaves its weights and the history so far."""
    from data.patches.build import build_dataloaders
    from data.writers.samples import write_samples
    from model.callbacks.average import build_averaging
    from model.callbacks.history import History, write_history
    from model.callbacks.resume import build_resume
    from model.callbacks.watch import watch
    from model.card import build_card
    from model.custom_models import build_model
    from model.learner import build_learner, build_snapshots, fit, keep_weights
    from model.torch_network import NetworkInTraining
    from model.training_state import remove_state
    from utils.seed import seed_everything
    from utils.signals import StopRequest

    seed_everything(cfg.SEED + fold)
    data, state = material.data, run / STATES / f"fold{fold}.safetensors"
    dls, model = build_dataloaders(cfg, data, material.fold_of, fold), build_model(cfg)
    card = build_card(cfg, data.mean, data.std, data.spacing_um, fold, material.inside(fold), data.patch)
    shown, averaging = build_averaging(cfg, model)
    keep = keep_weights(shown, card, weights_path(run, fold), last_epoch_path(run, fold), cfg.SOLVER.KEEP)
    note = History(fold, history, lambda: write_history(run / "history.csv", history))
    look = partial(write_samples, samples=dls.valid.dataset.samples, predict=NetworkInTraining(shown, card))
    snapshots = build_snapshots(cfg, shown, card, run / "snapshots")
    written = [note, keep, *snapshots, *watch(run, fold, history, loggers, cfg.SOLVER.SAMPLES_EVERY, look)]
    with StopRequest() as stop:
        resume = build_resume(cfg, state, dls.train.dataset.fingerprint, stop)
        fit(build_learner(dls, model, cfg, [*averaging, *(written if is_writer() else []), resume]), cfg)
    if is_writer():
        remove_state(state)


def find_rate(cfg: CfgNode, run: Path, material: Material, fold: int, loggers: "Loggers") -> None:
    """Plot loss against learning rate if SOLVER.FIND_LR says so, once a fold; the training does not depend on it."""
    from data.patches.build import build_dataloaders
    from model.custom_models import build_model
    from model.learner import build_learner, plot_rates

    path = run / f"lr_finder_fold{fold}.png"
    if cfg.SOLVER.FIND_LR and not path.exists():
        dls = build_dataloaders(cfg, material.data, material.fold_of, fold)
        plot_rates(build_learner(dls, build_model(cfg), cfg), path)
        loggers.picture("lr_finder", path)


def weights_path(run: Path, fold: int) -> Path:
    """Where the best epoch of a fold is kept."""
    return run / "weights" / f"fold{fold}.safetensors"


def last_epoch_path(run: Path, fold: int) -> Path:
    """Where the last epoch of a fold is kept, as soon as the fold is trained."""
    return run / "last_epoch" / f"fold{fold}.safetensors"


def load_predictor(cfg: CfgNode, run: Path, fold: int) -> "Predictor":
    """The best network of a fold, to predict with."""
    from model.predictor import build_predictor, load_member

    return build_predictor(cfg, [load_member(cfg, weights_path(run, fold))])


def evaluate(
    cfg: CfgNode,
    run: Path,
    material: Material,
    folds: Sequence[int],
    summaries: "Sequence[FoldSummary]",
    failures: "Failures",
) -> int:
    """Predict the cases of the trained folds, tune the threshold on them and report; returns the exit code."""
    from data.writers.training import best_epochs

    fold_of = material.fold_of
    cases = [case for case in material.cases if fold_of[case.id] in folds]
    maps = predict_out_of_fold(cfg, run, cases, material, failures)
    rules = tune(cfg, run, [case for case in cases if case.id in maps], maps, fold_of, failures)
    scored = [case for case in cases if case.id in maps and case.id not in failures.ids]
    if not scored:
        log.error("no case could be predicted and scored; see %s", run / "failures.csv")
        return SOME_FAILED
    dice = report(cfg, run, scored, maps, rules, summaries, failures)
    if failures.ids >= {case.id for case in scored}:
        log.error("no case could be scored; see %s", run / "failures.csv")
        return SOME_FAILED
    shutil.rmtree(run / STATES)  # the run is at its end
    print_result(f"failed {len(failures.ids)} of {len(failures.ids | set(fold_of))} cases")
    print_result(f"out-of-fold Dice {dice:.3f} at {rules.label}")
    for line in best_epochs(run / "history.csv") if cfg.SOLVER.DICE_OVER == "cases" else ():
        print_result(line)
    return exit_code(failures.ids)


def predict_out_of_fold(
    cfg: CfgNode, run: Path, cases: "Sequence[Case]", material: Material, failures: "Failures"
) -> "dict[str, ProbabilityMap]":
    """Probability maps of whole cases, by id, each by the fold that did not see it; a map that is there is kept."""
    from data.patches.scale import build_scale
    from data.sources.opening import build_reader
    from data.stitching.case import build_inference
    from data.writers.maps import predict_maps
    from data.writers.results import Results

    reader, results, fold_of = build_reader(cfg), Results(run), material.fold_of
    inference = build_inference(cfg, build_scale(cfg), material.data.patch)
    maps: dict[str, ProbabilityMap] = {}
    for fold in sorted({fold_of[case.id] for case in cases}):
        own = [case for case in cases if fold_of[case.id] == fold]
        load, title = partial(load_predictor, cfg, run, fold), f"fold {fold} cases"
        maps |= predict_maps(own, reader, inference, load, results, failures, title)
    return maps


def tune(
    cfg: CfgNode,
    run: Path,
    cases: "Sequence[Case]",
    maps: "dict[str, ProbabilityMap]",
    fold_of: dict[str, int],
    failures: "Failures",
) -> "Rules":
    """Choose what gives the highest Dice, pooled over whole cases; keep it with the weights, its curve in the run."""
    from data.sources.opening import build_reader
    from data.stitching.mask_rule import MaskRule
    from data.tuning import Sample, choose_rules, pooled_histograms
    from data.writers.curve import write_threshold_curve
    from model.checkpoints import update_card

    reader, scratch, samples, test = build_reader(cfg), run / STATES / "tuning", [], cfg.TEST
    for case in cases:
        with failures.guard(case.id, case.image.name):
            opening = partial(reader.open_both, case)
            samples.append(Sample(case.id, fold_of[case.id], maps[case.id], opening, scratch).counted())
    fixed = MaskRule(0.0, test.TH_LOW, test.MIN_OBJECT, test.MAX_HOLE, test.LARGEST)
    rules = choose_rules(samples, cfg.SOLVER.TUNE, fixed, cfg.SOLVER.NESTED)
    if samples:
        write_threshold_curve(run, pooled_histograms(samples).sum(0), rules.kept.threshold)
        for path in sorted((run / "weights").glob("*.safetensors")):
            update_card(path, **rules.card(fixed))
    return rules


def report(
    cfg: CfgNode,
    run: Path,
    cases: "Sequence[Case]",
    maps: "dict[str, ProbabilityMap]",
    rules: "Rules",
    folds: "Sequence[FoldSummary]",
    failures: "Failures",
) -> float:
    """Clean, score and draw the cases as it was tuned, write the run's report; the pooled Dice."""
    from data.scoring import pooled_confusion
    from data.sources.opening import build_reader
    from data.stitching.postprocess import clean_case
    from data.writers.folds import score_folds, write_fold_scores
    from data.writers.results import Results, evaluate_case, write_results_report, write_scores
    from data.writers.training import training_pictures
    from data.writers.tuning import write_tuning

    reader, results, scores = build_reader(cfg), Results(run), []
    fold_of = {case_id: fold.fold for fold in folds for case_id in fold.case_ids}
    look = cfg.TEST.OVERLAY_PX, cfg.TEST.SURFACE_TOLERANCE_UM
    for case in cases:
        with failures.guard(case.id, case.image.name):
            rule = rules.of(fold_of[case.id])
            final = clean_case(maps[case.id], results.cleaned(case.id), rule)
            scores += evaluate_case(case, reader, final, rule.extent, results, *look)
    write_scores(run / "scores.csv", scores, reader.classes)
    more = [*write_tuning(run, rules), *write_fold_scores(run, score_folds(folds, scores)), *training_pictures(run)]
    what = f"Out-of-fold masks of {run.name}", [case.id for case in cases], scores, reader.classes, rules.kept
    log.info("report %s", write_results_report(results, *what, failures.rows, cfg.dump(sort_keys=False), more))
    return pooled_confusion(scores).dice


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
