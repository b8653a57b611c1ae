"""The table of cases for the layouts of volumes: a Medical Segmentation Decathlon task, DICOM series, kaggle_3m."""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yacs.config import CfgNode

from data.case import Case, CaseTable, join_paths, match_files, one_by_id
from data.sources.dicom_series import holds_series
from data.sources.file_name import ending, stem
from data.sources.json_file import load_json
from data.sources.slice_stack import holds_stack, list_stack
from data.sources.source import SourceError
from data.sources.volume import VOLUME_READERS
from utils.failures import Failure

VOLUME_LAYOUTS = ("decathlon", "series", "kaggle_3m")
VOLUME_AXES = 3
SHOWN = 5  # names that a message holds
log = logging.getLogger(__name__)


def learns_from_volumes(axes: int, patches: str) -> bool:
    """Whether a network of so many axes learns from volumes by the patches of INPUT.FROM, if only by their slices."""
    return axes == VOLUME_AXES or patches == "slices"


def reads_volumes(axes: int, patches: str, layout: str) -> bool:
    """Whether cases of a layout are volumes, whatever network predicts them."""
    return learns_from_volumes(axes, patches) or layout in VOLUME_LAYOUTS


def list_decathlon(cfg: CfgNode, folder: Path, labels_csv: str) -> CaseTable:
    """Volumes of imagesTr with their masks of labelsTr, split by DATASETS.SPLIT_SHARE, and those of imagesTs as 'test'.

    Raises ValueError for a folder without these, and for other classes than dataset.json names.
    """
    training, test = _volumes(folder / "imagesTr"), _volumes(folder / "imagesTs")
    if not training and not test:
        raise ValueError(f"{folder} holds no volume in imagesTr or imagesTs; give the folder of a Decathlon task")
    _check_description(cfg, folder / "dataset.json", [path for _, path in training])
    masks = _volumes(folder / "labelsTr")
    cases = [Case(name, path, group=name) for name, path in training]
    table = join_paths(one_by_id([*cases, *(Case(name, path, group=name, split="test") for name, path in test)]), masks)
    unpaired = [case for case in table.cases if case.labels is None and case.split != "test"]
    table.problems += [Failure(case.id, case.image.name, "has no mask of its name in labelsTr") for case in unpaired]
    table.problems += _masks_alone(masks, {name for name, _ in training}, "imagesTr")
    missing = {case.id for case in unpaired}
    return _split(cfg, CaseTable([case for case in table.cases if case.id not in missing], table.problems))


def list_series(cfg: CfgNode, folder: Path, labels_csv: str) -> CaseTable:
    """Each folder that holds DICOM slices as a patient, with the mask that DATASETS.MASKS finds for its {name}.

    They are split by DATASETS.SPLIT_SHARE. A patient without a mask has no labels.
    """
    patients = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and holds_series(path)]
    found = match_files(folder, cfg.DATASETS.MASKS, tuple(VOLUME_READERS)) if cfg.DATASETS.MASKS else []
    masks = [(name, path) for (_, name), path in found if not path.is_dir()]
    table = join_paths(one_by_id(Case(path.name, path, group=path.name) for path in patients), masks)
    table.problems += _masks_alone(masks, {path.name for path in patients}, folder.name)
    return _split(cfg, table)


def list_kaggle_3m(cfg: CfgNode, folder: Path, labels_csv: str) -> CaseTable:
    """Each folder of slices as a patient, with the masks among them; a stack that is not whole is a problem.

    DATASETS.VALID_CASES of the patients, drawn with SEED from all in the order of their names, have the split 'valid'.
    """
    patients = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and holds_stack(path)]
    held_out, table = _draw_patients(cfg, [path.name for path in patients]), CaseTable()
    for path in patients:
        split = ("valid" if path.name in held_out else "train") if held_out else ""
        try:
            labels = path if list_stack(path).masks else None
            table.cases.append(Case(path.name, path, labels, group=path.name, split=split))
        except SourceError as error:
            table.problems.append(Failure(path.name, path.name, str(error).removeprefix(f"{path.name} ")))
    return table


def _draw_patients(cfg: CfgNode, names: list[str]) -> set[str]:
    """The patients to validate on: those of `random.seed(SEED); random.sample(sorted(names), VALID_CASES)`."""
    count = cfg.DATASETS.VALID_CASES
    if count == 0 or _says_folds(cfg):
        return set()
    if count >= len(names):
        log.warning("%d patients are too few to draw DATASETS.VALID_CASES %d of them: none is drawn", len(names), count)
        return set()
    return set(random.Random(cfg.SEED).sample(sorted(names), count))


def _says_folds(cfg: CfgNode) -> bool:
    """Whether the config says itself who validates."""
    return bool(cfg.DATASETS.ID_CSV or cfg.DATASETS.FOLDS_CSV or cfg.DATASETS.FOLD_GROUPS)


def _volumes(folder: Path) -> list[tuple[str, Path]]:
    """Names without endings and paths of the volumes in a folder that may be missing; hidden files do not count."""
    every = sorted(folder.iterdir()) if folder.is_dir() else []
    return [(stem(path), path) for path in every if ending(path) in VOLUME_READERS and not path.name.startswith(".")]


def _masks_alone(masks: Sequence[tuple[str, Path]], names: set[str], where: str) -> list[Failure]:
    return [
        Failure(name, path.name, f"has no image of its name in {where}") for name, path in masks if name not in names
    ]


def _check_description(cfg: CfgNode, path: Path, training: Sequence[Path]) -> None:
    """Compare the classes and, with a warning, the volumes of a dataset.json, if there is one, with what is there."""
    if not path.is_file():
        return
    try:
        content = load_json(path)
        classes = [name for value, name in content.get("labels", {}).items() if int(value)]
        listed = {Path(entry["image"]).name for entry in content.get("training", [])}
    except (SourceError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no description of a Decathlon task: {error}") from error
    data = cfg.DATASETS
    if classes and len(classes) != len(data.CLASSES) and not (data.MASK_VALUES or data.MASK_THRESHOLD):
        raise ValueError(f"{path} has the classes {classes}, DATASETS.CLASSES names {list(data.CLASSES)}")
    missing = sorted(listed - {file.name for file in training})
    if missing:
        log.warning("%s names %d volumes that are not there: %s", path, len(missing), ", ".join(missing[:SHOWN]))


def _split(cfg: CfgNode, table: CaseTable) -> CaseTable:
    """Give the labelled cases the split 'train' or 'valid', drawn by group, unless the config says the folds itself."""
    share = cfg.DATASETS.SPLIT_SHARE
    if not 0 < share < 1 or _says_folds(cfg):
        return table
    learnt = [case for case in table.cases if case.labels is not None and not case.split]
    groups = sorted({case.group for case in learnt})
    random.Random(cfg.SEED).shuffle(groups)
    held_out = set(groups[min(round(share * len(groups)), len(groups) - 1) :] if len(groups) > 1 else [])
    split = {case.id: "valid" if case.group in held_out else "train" for case in learnt}
    return CaseTable([replace(case, split=split.get(case.id, case.split)) for case in table.cases], table.problems)
