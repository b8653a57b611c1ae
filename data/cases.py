"""The table of cases - id, image, labels, group, split - for each layout of a dataset on disk."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from data.case import LABEL_ENDINGS, Case, CaseTable, join_paths, match_files, one_by_id
from data.roboflow_cases import list_roboflow
from data.sources import SourceError
from data.sources.coco import load_coco
from data.sources.file_name import ending, stem
from data.sources.label_file import LABEL_READERS
from data.sources.vendor import ENDINGS, dicom_files
from data.volume_cases import list_decathlon, list_kaggle_3m, list_series
from utils.failures import Failure
from utils.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

SLIDE_ENDINGS = (".tif", ".tiff", *ENDINGS)
NO_FILE = "is no file that can be read; put the slide itself, or a link to it, in its place"
LOOSE_DICOM = "lies loose; put the DICOM files of a slide into a folder of their own, whose name is the id"
UNLABELLED = "unlabelled"
SPLITS = ["train", "valid", "test", UNLABELLED]
NO_IMAGE = "has no image of this id beside it"  # a table for training may serve to test a few of its slides


def list_cases(cfg: CfgNode) -> CaseTable:
    """Cases to learn from and to validate; one without labels is a problem.

    Those of the splits 'test' and 'unlabelled' are left out. Raises ValueError for an unknown split, and for a group
    with cases in several splits.
    """
    labels_csv = "" if cfg.DATASETS.LABELS_FOLDER or cfg.DATASETS.LABELS_COCO else cfg.DATASETS.LABELS_CSV
    table = LAYOUTS[cfg.DATASETS.LAYOUT](cfg, Path(cfg.DATASETS.WSI_FOLDER), labels_csv)
    if cfg.DATASETS.ID_CSV:
        _check_splits(Path(cfg.DATASETS.ID_CSV), cfg.DATASETS.GROUP_BY, table.cases)
    table = _join_ids(cfg, table, lambda split: split not in ("test", UNLABELLED))
    _refuse_nothing(table, Path(cfg.DATASETS.WSI_FOLDER))
    unlabelled = [case for case in table.cases if case.labels is None]
    table.problems += [Failure(case.id, case.image.name, "has no labels") for case in unlabelled]
    table.cases = [case for case in table.cases if case.labels is not None]
    return table


def list_test_cases(cfg: CfgNode) -> CaseTable:
    """Cases to predict, with labels where they are known: all, or with TEST.SPLIT those rows of DATASETS.ID_CSV.

    The pixel sizes in that table count in both.
    """
    table = LAYOUTS[cfg.DATASETS.LAYOUT](cfg, Path(cfg.TEST.WSI_FOLDER), cfg.TEST.LABELS_CSV)
    table.problems = [problem for problem in table.problems if not problem.message.endswith(NO_IMAGE)]
    if cfg.TEST.SPLIT:
        table = _join_ids(cfg, table, lambda split: split == cfg.TEST.SPLIT)
    elif cfg.DATASETS.ID_CSV:
        table = _join_spacings(table, Path(cfg.DATASETS.ID_CSV))
    _refuse_nothing(table, Path(cfg.TEST.WSI_FOLDER))
    return table


def list_unlabelled_cases(cfg: CfgNode) -> CaseTable:
    """Cases of DATASETS.UNLABELLED_FOLDER, without labels: all, or where DATASETS.ID_CSV has the split, those rows.

    Raises ValueError for an id that this table has in another split.
    """
    bare, folder = cfg.clone(), Path(cfg.DATASETS.UNLABELLED_FOLDER)
    bare.defrost()
    bare.DATASETS.LABELS_FOLDER = bare.DATASETS.LABELS_COCO = bare.DATASETS.MASKS = ""
    table = LAYOUTS[bare.DATASETS.LAYOUT](bare, folder, "")
    if has_split(bare.DATASETS.ID_CSV, UNLABELLED):
        table = _join_ids(bare, table, lambda split: split == UNLABELLED)
    elif bare.DATASETS.ID_CSV:
        rows = set(read_table(Path(bare.DATASETS.ID_CSV), ["id"])["id"])
        named = [case.id for case in table.cases if case.id in rows]
        if named:
            raise ValueError(f"{bare.DATASETS.ID_CSV} names {named[:8]} of {folder}; give these the split 'unlabelled'")
    _refuse_nothing(table, folder)
    return table


def _refuse_nothing(table: CaseTable, folder: Path) -> None:
    if not (table.cases or table.problems):
        raise ValueError(f"no case of the wanted layout, ids and split lies in {folder}")


def list_slides(cfg: CfgNode, folder: Path, labels_csv: str) -> CaseTable:
    """Slides of a folder, by their names without endings, with labels of a CSV, a COCO file or a folder of files."""
    slides, problems = find_slides(folder)
    table = one_by_id(Case(case_id, path, group=case_id) for case_id, path in slides)
    table.problems += problems
    if labels_csv:
        return _join_run_lengths(cfg, table, Path(labels_csv))
    if cfg.DATASETS.LABELS_COCO:
        return _join_coco(table, Path(cfg.DATASETS.LABELS_COCO))
    return _join_label_files(table, Path(cfg.DATASETS.LABELS_FOLDER)) if cfg.DATASETS.LABELS_FOLDER else table


def find_slides(folder: Path) -> tuple[list[tuple[str, Path]], list[Failure]]:
    """Ids and files of the slides in a folder, and what is wrong with others.

    The many files of a DICOM slide lie in a folder whose name is the id; any of them stands for all. Links are
    followed, wherever they lead: whoever filled the folder chose them.
    """
    slides, problems = [], []
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        is_slide = path.suffix.lower() in SLIDE_ENDINGS
        if path.is_dir():
            found = [(path.name, file) for file in dicom_files(path)[:1]]
            slides += found
            problems += [Failure(id_of(path), path.name, "is a folder, and no slide")] if is_slide and not found else []
        elif is_slide and not path.is_file():  # a pipe would be waited for
            problems.append(Failure(id_of(path), path.name, NO_FILE))
        elif path.suffix.lower() == ".dcm":
            problems.append(Failure(path.stem, path.name, LOOSE_DICOM))
        elif is_slide:
            slides.append((id_of(path), path))
    return slides, problems


def id_of(path: Path) -> str:
    """The name of a file without its ending; .ome.tif is one ending."""
    return path.stem[: -len(".ome")] if path.name.lower().endswith((".ome.tif", ".ome.tiff")) else path.stem


def list_pairs(cfg: CfgNode, folder: Path, labels_csv: str) -> CaseTable:
    """Images that match DATASETS.IMAGES, with the mask of the same {name} and {group} or their entry in a COCO file."""
    images = match_files(folder, cfg.DATASETS.IMAGES)
    table = one_by_id(Case("_".join(filter(None, key)), path, group=key[0] or key[1]) for key, path in images)
    if cfg.DATASETS.LABELS_COCO:
        return _join_coco(table, Path(cfg.DATASETS.LABELS_COCO))
    found = match_files(folder, cfg.DATASETS.MASKS, LABEL_ENDINGS) if cfg.DATASETS.MASKS else []
    masks = [("_".join(filter(None, key)), path) for key, path in found]
    known = {case.id for case in table.cases} | {problem.id for problem in table.problems}
    table.problems += [
        Failure(name, path.name, "is a mask without an image") for name, path in masks if name not in known
    ]
    return join_paths(table, masks)


LAYOUTS = {
    "slides": list_slides,
    "pairs": list_pairs,
    "roboflow": list_roboflow,
    "decathlon": list_decathlon,
    "series": list_series,
    "kaggle_3m": list_kaggle_3m,
}


def _join_label_files(table: CaseTable, folder: Path) -> CaseTable:
    """Give each case the file of its name, which may lie beside the image itself."""
    images = {os.path.realpath(case.image) for case in table.cases}
    files = [path for path in sorted(folder.iterdir()) if ending(path) in LABEL_ENDINGS and path.name[0] != "."]
    named = [(stem(path) if ending(path) in LABEL_READERS else id_of(path), path) for path in files]
    return join_paths(table, [(name, path) for name, path in named if os.path.realpath(path) not in images])


def _join_coco(table: CaseTable, path: Path) -> CaseTable:
    """Give each case its entry of a COCO file; a file that cannot be read is a ValueError naming it."""
    joined = CaseTable(problems=table.problems)
    try:
        file = load_coco(path)
    except SourceError as error:
        raise SourceError(f"{path.name} {error}") from error
    for case in table.cases:
        try:
            joined.cases.append(replace(case, labels=file.find(case.image, case.id)))
        except SourceError as error:
            joined.problems.append(Failure(case.id, path.name, str(error)))
    return joined


def _join_run_lengths(cfg: CfgNode, table: CaseTable, path: Path) -> CaseTable:
    rows = read_table(path, ["id", cfg.DATASETS.RLE_COLUMN])
    if "class" not in rows:
        rows["class"] = cfg.DATASETS.CLASSES[0]
    known = {case.id for case in table.cases} | {problem.id for problem in table.problems}
    table.problems += _row_problems(rows, path, cfg.DATASETS.CLASSES, known)
    broken = {problem.id for problem in table.problems}
    texts: dict[str, dict[str, str]] = {}
    places: dict[str, dict[str, str]] = {}
    columns = rows["id"], rows["class"], rows[cfg.DATASETS.RLE_COLUMN]
    for number, row_id, class_name, text in zip(rows.index, *columns, strict=True):
        texts.setdefault(row_id, {})[class_name] = text
        places.setdefault(row_id, {})[class_name] = f"{path.name} line {number}"
    table.cases = [
        replace(case, labels=texts.get(case.id), label_places=places.get(case.id, {}))
        for case in table.cases
        if case.id not in broken
    ]
    return table


def _row_problems(rows: "pd.DataFrame", path: Path, classes: list[str], ids: set[str]) -> list[Failure]:
    problems = []
    doubled = rows.duplicated(["id", "class"])
    for number, row_id, class_name, double in zip(rows.index, rows["id"], rows["class"], doubled, strict=True):
        if double:
            problems.append(Failure(row_id, path.name, f"line {number} repeats this id"))
        elif class_name not in classes:
            problems.append(Failure(row_id, path.name, f"line {number} has class {class_name!r}; choose of {classes}"))
        elif row_id not in ids:
            problems.append(Failure(row_id, path.name, f"line {number} {NO_IMAGE}"))
    return problems


def _join_ids(cfg: CfgNode, table: CaseTable, wanted: Callable[[str], bool]) -> CaseTable:
    """Keep the cases of DATASETS.ID_CSV whose split is wanted, with their group, and name the ids that have no file."""
    if cfg.DATASETS.ID_CSV:
        table = _join_rows(table, Path(cfg.DATASETS.ID_CSV), cfg.DATASETS.GROUP_BY, wanted)
    table.cases = [case for case in table.cases if wanted(case.split)]
    if cfg.DATASETS.GROUP_BY == "id":
        table.cases = [replace(case, group=case.id) for case in table.cases]
    return table


def _join_rows(table: CaseTable, path: Path, group_by: str, wanted: Callable[[str], bool]) -> CaseTable:
    every = read_ids(path, group_by)
    doubled = set(every["id"][every["id"].duplicated()])
    rows = {row["id"]: row for row in every.to_dict("records") if wanted(row.get("split") or "")}
    found = {case.id for case in table.cases} | {problem.id for problem in table.problems}
    problems = [each for each in table.problems if each.id in rows]
    problems += [Failure(row_id, path.name, "has no image file") for row_id in rows if row_id not in found]
    problems += [Failure(row_id, path.name, "is named by several rows") for row_id in rows if row_id in doubled]
    usable = [case for case in table.cases if case.id in rows and case.id not in doubled]
    joined = [_with_row(case, rows[case.id], group_by) for case in usable]
    problems += [Failure(case.id, path.name, f"has no {group_by}") for case in joined if not case.group]
    return _join_spacings(CaseTable([case for case in joined if case.group], problems), path)


def _join_spacings(table: CaseTable, path: Path) -> CaseTable:
    """Give each case the pixel size in its row, if that is filled in; a wrong or an unclear one is a problem."""
    rows = read_table(path, ["id"])
    if "spacing_um" not in rows:
        return table
    texts: dict[str, list[tuple[int, str]]] = {}
    for line, row_id, text in zip(rows.index, rows["id"], rows["spacing_um"], strict=True):
        texts.setdefault(row_id, []).append((line, text.strip()))
    cases, problems = [], list(table.problems)
    for case in table.cases:
        spacing_um, mistake = _one_spacing(texts.get(case.id, []))
        if mistake:
            problems.append(Failure(case.id, path.name, mistake))
        else:
            cases.append(replace(case, spacing_um=spacing_um))
    return CaseTable(cases, problems)


def _one_spacing(cells: list[tuple[int, str]]) -> tuple[float, str]:
    """The pixel size in um that the cells (line, text) of an id agree on, 0 for none, and what is wrong with them."""
    found = set()
    for line, text in cells:
        um = _number(text)
        if text and not 0 < um < math.inf:
            return 0.0, f"line {line} has spacing_um {text!r}; it must be a pixel size in um above 0, such as 0.5"
        found |= {um} if text else set()
    return (max(found, default=0.0), "") if len(found) < 2 else (0.0, "is named by several rows")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_ids(path: Path, group_by: str) -> "pd.DataFrame":
    """The table of ids; raises TableError where it lacks the column that groups are made of."""
    return read_table(path, ["id"] if group_by == "group" else ["id", group_by])


def has_split(id_csv: str, split: str) -> bool:
    """Whether the table of ids names a case of this split; an empty path has none."""
    return bool(id_csv) and split in set(read_table(Path(id_csv), ["id"]).get("split", ()))


def _with_row(case: Case, row: dict, group_by: str) -> Case:
    group = row.get("group") or case.group if group_by == "group" else row[group_by]
    return replace(case, group=group, split=row.get("split") or case.split)


def _check_splits(path: Path, group_by: str, cases: list[Case]) -> None:
    """Raise ValueError for a split that is unknown, and for a group with cases in several splits.

    Unlabelled cases may go with all but 'test': a fold leaves out those of the groups that it validates on.
    """
    own_group = {case.id: case.group for case in cases}
    splits: dict[str, dict[str, str]] = {}
    for row in read_ids(path, group_by).drop_duplicates("id", keep=False).to_dict("records"):
        split = row.get("split") or "train"
        if split not in SPLITS:
            raise ValueError(f"{path.name} has split {split!r} for {row['id']}; choose of {SPLITS}")
        group = row.get(group_by) or own_group.get(row["id"])
        if group:
            splits.setdefault(group, {})[split] = row["id"]
    for group, members in splits.items():
        if len(set(members) - ({UNLABELLED} if "test" not in members else set())) > 1:
            raise ValueError(_parted(path, group, members))


def _parted(path: Path, group: str, members: dict[str, str]) -> str:
    where = ", ".join(f"{case_id} in {split!r}" for split, case_id in sorted(members.items()))
    return f"{path.name} parts group {group!r}: {where}; give its cases one split, or set DATASETS.GROUP_BY id"
