"""Cases and checkpoints -> masks, scores and a report."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from yacs.config import CfgNode

from apps.dry_run import list_plan
from config import config_mistakes, parse_args, read_cfg
from config.check import LABEL_FILES, check_cfg, get
from config.lock import lock
from config.run import exit_code, print_result, script, start_log, start_run
from utils.atomic import without_drafts

if TYPE_CHECKING:
    from data.cases import Case, CaseTable
    from data.scoring import CaseScore
    from data.sources.opening import CaseReader
    from data.stitching.case import Inference
    from data.stitching.mask_rule import MaskRule
    from data.stitching.probability_map import ProbabilityMap
    from data.writers.products import Products
    from data.writers.results import Results
    from model.predictor import Member, Predictor
    from utils.failures import Failures

log = logging.getLogger(__name__)
OF_LABELS = ("scores.csv", "dice_threshold.csv", "dice_threshold.png", "dice_by_class.png", "dsc.png")
LABELLED = ("scores.csv", "dice_threshold.csv", "dice_threshold.png")  # what there is where labels are known


@dataclass
class Outcome:
    """What came of the cases so far: ids predicted, scores, and counts (2, 256) for Dice against threshold."""

    done: list[str] = field(default_factory=list)
    scores: "list[CaseScore]" = field(default_factory=list)
    histograms: np.ndarray = field(default_factory=lambda: np.zeros((2, 256), np.int64))


@script
def main(argv: Sequence[str]) -> int:
    """Predict every case of TEST.WSI_FOLDER; returns the exit code."""
    args = parse_args(argv, "Predict the masks of whole cases with the networks of a weights folder.", dry=True)
    cfg, mistakes = read_cfg(args.config_file, args.options)
    needed = ["TEST.WSI_FOLDER", "TEST.LABELS_CSV", "TEST.MODEL_WEIGHTS_FOLDER", "DATASETS.ID_CSV"]
    needed += [] if cfg.TEST.LABELS_CSV else [key for key in LABEL_FILES if get(cfg, key)]
    check_cfg(cfg, needed, mistakes)
    from data.case import refuse_same_names
    from data.cases import list_test_cases

    if args.dry_run:
        cfg = with_card(cfg, load_networks(cfg)[0][0])
        return list_plan(cfg, list_test_cases, f"predicted into {cfg.TEST.OUTPUT_DIR}")
    so_far = start_log()
    with lock(Path(cfg.TEST.OUTPUT_DIR)) as folder, without_drafts(folder):
        members, rule = load_networks(cfg)
        cfg = with_card(cfg, members[0])
        with config_mistakes():  # before the run begins: no folder is left of a table that cannot be read
            table = list_test_cases(cfg)
        folder = start_run(cfg, folder, so_far)
        return test(cfg, members, rule, folder, refuse_same_names(table, folder))


def load_networks(cfg: CfgNode) -> "tuple[list[Member], MaskRule]":
    """Networks of the weights folder and the rule of masks; what does not fit together is a mistake of the config."""
    from model.predictor import load_members

    with config_mistakes():
        members = load_members(cfg, Path(cfg.TEST.MODEL_WEIGHTS_FOLDER))
        return members, choose_rule(cfg, members)


def choose_rule(cfg: CfgNode, members: "Sequence[Member]") -> "MaskRule":
    """What the weights were tuned to, as far as TEST does not overrule it; raises ValueError without a threshold."""
    from data.stitching.mask_rule import MaskRule, build_test_rule
    from model.predictor import tuned_cleaning, tuned_threshold

    return build_test_rule(cfg, MaskRule(cfg.TEST.TH or tuned_threshold(members), **tuned_cleaning(members)))


def with_card(cfg: CfgNode, member: "Member") -> CfgNode:
    """The config with the classes, channels, axes and rule of intensities that the weights were trained for."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATASETS.CLASSES = list(member.card.classes)
    cfg.MODEL.IN_CHANNELS, cfg.INPUT.HEAD_PX = member.card.in_channels, member.card.head_px
    cfg.MODEL.AXES = member.card.network.axes
    cfg.INPUT.INTENSITY, *numbers = member.card.intensity or ("",)
    if cfg.INPUT.INTENSITY == "window":
        cfg.INPUT.WINDOW = numbers
    if cfg.INPUT.INTENSITY == "percentiles":
        cfg.INPUT.PERCENTILES = numbers
    cfg.freeze()
    return cfg


def test(cfg: CfgNode, members: "list[Member]", rule: "MaskRule", folder: Path, table: "CaseTable") -> int:
    """Predict, write and score each case, then the tables and the report over all."""
    from data.manifest import build_test_manifest, write_manifest
    from data.writers.results import Results
    from model.predictor import weight_files
    from utils.failures import Failures

    results = Results(folder)
    failures = Failures(table.problems, folder / "config.yaml")
    weights = weight_files(Path(cfg.TEST.MODEL_WEIGHTS_FOLDER), cfg.TEST.ENGINE)
    write_manifest(folder / "manifest.csv", build_test_manifest(cfg, table.cases, failures, weights))
    outcome = predict_cases(cfg, members, rule, table.cases, results, failures)
    write_tables(cfg, results, outcome, rule, failures)
    if outcome.scores:
        from data.scoring import pooled_confusion

        scored = {score.id for score in outcome.scores}
        print_result(f"Dice {pooled_confusion(outcome.scores).dice:.3f} over {len(scored)} cases")
    print_result(f"failed {len(failures.ids)} of {len(failures.ids | {case.id for case in table.cases})} cases")
    return exit_code(failures.ids)


def predict_cases(
    cfg: CfgNode,
    members: "list[Member]",
    rule: "MaskRule",
    cases: "Sequence[Case]",
    results: "Results",
    failures: "Failures",
) -> Outcome:
    """Predict one case after the other; the next is opened and the last one written beside."""
    from data.patches.kept import write_kept
    from data.stitching.case import open_cases
    from data.writers.products import build_products
    from utils.progress import track
    from utils.threads import Beside

    reader, inference, predictor = build_path(cfg, members)
    finish = Finish(cfg, reader, rule, results, build_products(cfg), failures)
    opened_cases = open_cases(cases, reader, inference, results.root)
    with Beside() as finishing:
        for case, opening in track(opened_cases, "cases", len(cases)):
            with failures.guard(case.id, case.image.name):
                if case.labels is not None:
                    with reader.open_both(case):  # labels of another image are known before hours of prediction
                        pass
                with opening() as opened:
                    write_kept(results.tissue(case.id), opened.tissue, opened.plan, opened.plan.shape)
                    raw = opened.predict(predictor, results.probabilities(case.id), track)
                log.info("%s: predicted", case.id)
                finishing.do(finish, case, raw)
    return finish.outcome


def build_path(cfg: CfgNode, members: "Sequence[Member]") -> "tuple[CaseReader, Inference, Predictor]":
    """How a file becomes the networks' input, at which scale and in which patches, and what predicts these."""
    from data.patches.scale import Scale
    from data.sources.opening import build_reader
    from data.stitching.case import build_inference
    from model.predictor import build_predictor

    card = members[0].card
    by_axis = (card.reductions, card.spacings_um, card.sides)
    inference = build_inference(cfg, Scale(card.reduction, card.spacing_um or 0.0, *by_axis), card.patch)
    return build_reader(cfg), inference, build_predictor(cfg, members)


@dataclass
class Finish:
    """What is done with each probability map: it is cleaned, written, drawn and, where labels are known, scored."""

    cfg: CfgNode
    reader: "CaseReader"
    rule: "MaskRule"
    results: "Results"
    products: "Products"
    failures: "Failures"
    outcome: Outcome = field(default_factory=Outcome)

    def __call__(self, case: "Case", raw: "ProbabilityMap") -> None:
        """Finish one case; an error becomes a failure, and leaves nothing of the case."""
        with self.failures.guard(case.id, case.image.name):
            try:
                self._finish(case, raw)
            except Exception:
                self.results.discard(case.id)
                raise

    def _finish(self, case: "Case", raw: "ProbabilityMap") -> None:
        from data.scoring import case_histograms
        from data.stitching.postprocess import clean_case
        from data.writers.products import CaseMask
        from data.writers.results import evaluate_case

        results, outcome, extent = self.results, self.outcome, self.rule.extent
        final = clean_case(raw, results.cleaned(case.id), self.rule)
        both = None if case.labels is None else partial(self.reader.open_both, case)
        self.products.write(results, CaseMask(case.id, final, extent, partial(self.reader.open_image, case), both))
        look = self.cfg.TEST.OVERLAY_PX, self.cfg.TEST.SURFACE_TOLERANCE_UM
        scores = evaluate_case(case, self.reader, final, extent, results, *look)
        if both:
            with both() as (_, labels):
                outcome.histograms += case_histograms(raw, labels).sum(0)
        outcome.done.append(case.id)
        outcome.scores += scores


def write_tables(
    cfg: CfgNode,
    results: "Results",
    outcome: Outcome,
    rule: "MaskRule",
    failures: "Failures",
) -> None:
    """Write output.csv, objects.csv, scores.csv, failures.csv, the curve of Dice against threshold and the report."""
    from data.writers.curve import write_threshold_curve
    from data.writers.products import build_products, join_products
    from data.writers.results import write_results_report, write_scores
    from utils.report import Pictures

    classes, pictures, scores = list(cfg.DATASETS.CLASSES), [], outcome.scores
    for name in OF_LABELS:  # of an earlier run that had them
        (results.root / name).unlink(missing_ok=True)
    join_products(results, build_products(cfg).names, outcome.done, classes)
    if scores:
        write_scores(results.root / "scores.csv", scores, classes)
        curve = write_threshold_curve(results.root, outcome.histograms, rule.threshold)
        pictures.append(
            Pictures("Dice against threshold", [("before post-processing; the line is the one used", curve)])
        )
    failures.write(results.root / "failures.csv")
    config, done, failed = cfg.dump(sort_keys=False), outcome.done, failures.rows
    title = "Predicted masks"
    page = write_results_report(results, title, done, scores, classes, rule, failed, config, pictures)
    log.info("report %s", page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
