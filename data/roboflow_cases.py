"""The table of cases of a Roboflow export: <name>.jpg beside <name>_mask.png, and _classes.csv, in a folder a split."""

from dataclasses import replace
from pathlib import Path

from yacs.config import CfgNode

from data.case import Case, CaseTable, join_paths, one_by_id
from data.sources.class_names import ClassNames, build_class_names
from data.sources.named_mask import NamedMask, class_of_values, read_value_names
from utils.failures import Failure

TABLE = "_classes.csv"
MASK = "_mask.png"
ENDINGS = (".jpg", ".jpeg", ".png")
SPLITS = ("train", "valid", "test")
COPY = ".rf."  # stands between the name of an uploaded picture and the number of one of its copies


def list_roboflow(cfg: CfgNode, folder: Path, labels_csv: str) -> CaseTable:
    """Images of an export with their masks; a folder 'train', 'valid' or 'test' says their split.

    Copies of one uploaded picture are one group. Raises ValueError for masks without a table of their values, for one
    that does not fit DATASETS.CLASSES, and for a group with cases in several splits.
    """
    found, cases, names = CaseTable(), [], build_class_names(cfg)
    for split in ("", *SPLITS):
        if (folder / split).is_dir():
            part = _list_part(folder / split, names)
            found.problems += part.problems
            cases += [replace(case, split=split) for case in part.cases]
    _refuse_parted(folder, cases)
    table = one_by_id(cases)
    return CaseTable(table.cases, found.problems + table.problems)


def _list_part(folder: Path, names: ClassNames) -> CaseTable:
    """The images of one folder and their masks."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS and path.name[0] != "."]
    masks = [path for path in files if path.name.endswith(MASK)]
    images = [path for path in files if not path.name.endswith(MASK)]
    table = one_by_id(Case(path.stem, path, group=path.stem.split(COPY)[0]) for path in images)
    table = join_paths(table, [(path.name.removesuffix(MASK), path) for path in masks])
    there = {path.stem for path in images}
    alone = [path for path in masks if path.name.removesuffix(MASK) not in there]
    problems = [Failure(path.name.removesuffix(MASK), path.name, "is a mask without an image") for path in alone]
    return CaseTable(_with_values(table.cases, folder, names), table.problems + problems)


def _with_values(cases: list[Case], folder: Path, names: ClassNames) -> list[Case]:
    """The cases with what the table of their folder says of their masks."""
    csv = folder / TABLE
    if not any(isinstance(case.labels, Path) for case in cases):
        return cases
    if not csv.is_file():
        raise ValueError(f"{folder} holds masks but no {TABLE}, which names their values; export it as semantic masks")
    classes = class_of_values(read_value_names(csv), names, csv)
    return [
        replace(case, labels=NamedMask(case.labels, csv, classes)) if isinstance(case.labels, Path) else case
        for case in cases
    ]


def _refuse_parted(folder: Path, cases: list[Case]) -> None:
    split_of: dict[str, Case] = {}
    for case in cases:
        other = split_of.setdefault(case.group, case)
        if other.split != case.split:
            raise ValueError(
                f"{folder} has copies of one picture in two splits: {other.id} in {other.split!r}, {case.id} in "
                f"{case.split!r}; put them into one folder"
            )
