"""What a script would do, said and not done: every case is opened once, and nothing is written."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from config import config_mistakes
from config.run import exit_code, print_result, start_log
from utils.failures import Failures

if TYPE_CHECKING:
    from data.case import Case, CaseTable
    from data.sources.opening import CaseReader


def list_plan(cfg: CfgNode, list_cases: Callable[[CfgNode], "CaseTable"], deed: str) -> int:
    """Print a line of each case that would be `deed`, and one of each fault that is known; returns the exit code."""
    from data.sources.opening import build_reader

    start_log()
    with config_mistakes():
        table = list_cases(cfg)
    reader, failures = build_reader(cfg), Failures(table.problems)
    for case in table.cases:
        with failures.guard(case.id, case.image.name):
            print_result(f"{case.id}: {_looked_at(case, reader)}; would be {deed}")
    return say_end(failures, len({case.id for case in table.cases} | failures.ids))


def list_training(cfg: CfgNode, folder: Path) -> int:
    """Print what each fold would be trained and validated on, and what is known to be wrong; returns the exit code."""
    from train_net import choose_folds, prepare

    start_log()
    failures, cfg = Failures(), cfg.clone()
    cfg.defrost()
    if not Path(cfg.MODEL.ENCODER_WEIGHTS).is_file():
        cfg.MODEL.ENCODER_WEIGHTS = "None"  # a name: nothing is downloaded to say a plan
    material = prepare(cfg, failures)
    if material is None:
        return say_end(failures, len(failures.ids))
    for fold in choose_folds(cfg, material):
        is_inside = Counter(material.fold_of[sample.case_id] == fold for sample in material.data.samples)
        ids = ", ".join(material.inside(fold))
        print_result(f"fold {fold}: {is_inside[False]} patches to train on, {is_inside[True]} of {ids} to validate")
    print_result(f"would be trained in {folder}")
    return say_end(failures, len(failures.ids | set(material.fold_of)))


def say_end(failures: Failures, count: int) -> int:
    """Print how many cases would fail; returns the exit code."""
    print_result(f"{len(failures.ids)} of {count} cases would fail; nothing was written")
    return exit_code(failures.ids)


def _looked_at(case: "Case", reader: "CaseReader") -> str:
    """Name, size and pixel size of an image, whose labels, if there are any, were opened as well."""
    with reader.open_image(case) as image:
        if case.labels is not None:
            reader.open_labels(case, image).close()
        size = " x ".join(map(str, image.shape))
        spacing = " x ".join(f"{um:g}" for um in image.spacing_um or ())
    labels = "with labels" if case.labels is not None else "without labels"
    return f"{case.image.name}, {size} pixels of {spacing or 'unknown'} um, {labels}"
