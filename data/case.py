"""One case, tables of cases, and the files that they are made from."""

import logging
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
from utils.messages import one_line

LABEL_ENDINGS = (*READERS, *LABEL_READERS)
LONGEST = 220  # bytes of an id: file systems take names of 255, and tiles and results add numbers and endings
SAME_NAME = "has an id that differs from another only in case; results of both have one name in"
log = logging.getLogger(__name__)


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
    """The cases whose id is theirs alone and can be written; each of the others is a problem."""
    cases = sorted(cases, key=lambda case: case.id)
    counts = Counter(case.id for case in cases)
    doubles = [case for case in cases if counts[case.id] > 1]
    problems = [Failure(case.id, case.image.name, "is one of several files with this id") for case in doubles]
    usable = [case for case in cases if counts[case.id] == 1]
    problems += [Failure(case.id, case.image.name, _name_mistake(case)) for case in usable if _name_mistake(case)]
    return CaseTable([case for case in usable if not _name_mistake(case)], problems)


def _name_mistake(case: Case) -> str:
    """What keeps results from being written under an id, or nothing."""
    if any(one_line(name) != name for name in (case.group, case.id, case.image.name)):
        return "has control characters or bytes that are not UTF-8 in its name; rename it"
    size = len(case.id.encode())
    return f"has a name of {size} bytes, at most {LONGEST} leave room for what is added; rename it" * (size > LONGEST)


def refuse_same_names(table: CaseTable, folder: Path) -> CaseTable:
    """The cases whose results get names of their own in a run's folder; the others are problems.

    Ids that differ in case alone are told in the log where the folder keeps them apart, and refused where it does not.
    """
    counts = Counter(case.id.casefold() for case in table.cases)
    alike = [case for case in table.cases if counts[case.id.casefold()] > 1]
    if alike and not (folder / "LOG.TXT").exists():  # the log is there in small letters
        log.warning(
            "%s differ in case only: do not copy their results to Windows or macOS", [case.id for case in alike]
        )
        return table
    problems = [Failure(case.id, case.image.name, f"{SAME_NAME} {folder}") for case in alike]
    return CaseTable([case for case in table.cases if case not in alike], table.problems + problems)


def join_paths(table: CaseTable, files: list[tuple[str, Path]]) -> CaseTable:
    """Give each case the label file of its id; several of one id are a problem."""
    counts, paths = Counter(case_id for case_id, _ in files), dict(files)
    doubles = [case for case in table.cases if counts[case.id] > 1]
    problems = [Failure(case.id, paths[case.id].name, "is one of several label files of this id") for case in doubles]
    cases = [replace(case, labels=paths.get(case.id)) for case in table.cases if counts[case.id] <= 1]
    return CaseTable(cases, table.problems + problems)
