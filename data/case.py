"""One case, tables of cases, and the files that they are made from."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from data.sources import READERS
from data.sources.coco import CocoImage
from data.sources.dicom_series import holds_series
from data.sources.file_name import ending
from data.sources.label_file import LABEL_READERS
from data.sources.named_mask import NamedMask
from utils.failures import Failure

LABEL_ENDINGS = (*READERS, *LABEL_READERS)


@dataclass(frozen=True)
class Case:
    """One image to learn from or to predict.

    `labels` is the path of a mask image or of outlines, a mask with names of its values, an entry of a COCO file, the
    run-length text of each class by its name, or None where unknown. `spacing_um` is the pixel size at level 0 that
    a table states, in um, or 0. `label_places` says for messages where the text of each class stands.
    """

    id: str
    image: Path
    labels: Path | NamedMask | CocoImage | dict[str, str] | None = None
    group: str = ""
    split: str = ""
    spacing_um: float = 0.0
    label_places: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass
class CaseTable:
    """Cases that can be used, sorted by id, and what is wrong with the others."""

    cases: list[Case] = field(default_factory=list)
    problems: list[Failure] = field(default_factory=list)


def match_files(folder: Path, pattern: str, endings: Collection[str] = READERS) -> list[tuple[tuple[str, str], Path]]:
    """Files under `folder` that fit a pattern such as '{group}/frames/{name}.png': ((group, name), path).

    The folder of a DICOM series counts as a file.
    """
    names = re.compile(
        re.escape(pattern)
        .replace(r"\{group\}", r"(?P<group>[^/]+)", 1)
        .replace(r"\{name\}", r"(?P<name>[^/]+)", 1)
        .replace(r"\*", r"[^/]*")
    )
    found = []
    for path in sorted(folder.glob(re.sub(r"\{\w+\}", "*", pattern))):
        match = names.fullmatch(path.relative_to(folder).as_posix())
        if match and not path.name.startswith(".") and (ending(path) in endings or holds_series(path)):
            found.append(((match.groupdict().get("group") or "", _without_inner_ending(match["name"], path)), path))
    return found


def _without_inner_ending(name: str, path: Path) -> str:
    """A {name} before '.*' without the .nii of a .nii.gz."""
    inner = ending(path)[: -len(path.suffix)] if path.suffix else ""
    return name[: len(name) - len(inner)] if inner and name.lower().endswith(inner) else name


def one_by_id(cases: Iterable[Case]) -> CaseTable:
    """The cases whose id is theirs alone and can be written in tables; each of the others is a problem."""
    every = sorted(cases, key=lambda case: case.id)
    cases, others = ([case for case in every if _is_text(case) == wanted] for wanted in (True, False))
    counts = Counter(case.id for case in cases)
    doubles = [case for case in cases if counts[case.id] > 1]
    problems = [Failure(case.id, case.image.name, "is one of several files with this id") for case in doubles]
    problems += [Failure(case.id, case.image.name, "has a name that is no UTF-8 text; rename it") for case in others]
    return CaseTable([case for case in cases if counts[case.id] == 1], problems)


def _is_text(case: Case) -> bool:
    """Whether the names of a case are UTF-8; Python keeps other bytes of a file's name as halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in f"{case.group} {case.id} {case.image.name}")


def join_paths(table: CaseTable, files: list[tuple[str, Path]]) -> CaseTable:
    """Give each case the label file of its id; several of one id are a problem."""
    counts, paths = Counter(case_id for case_id, _ in files), dict(files)
    doubles = [case for case in table.cases if counts[case.id] > 1]
    problems = [Failure(case.id, paths[case.id].name, "is one of several label files of this id") for case in doubles]
    cases = [replace(case, labels=paths.get(case.id)) for case in table.cases if counts[case.id] <= 1]
    return CaseTable(cases, table.problems + problems)
