"""Mask images whose pixel values a table names, as Roboflow exports them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.sources.class_names import ClassNames
from data.sources.source import SourceError

BACKGROUND = "background"  # in any case: the value of no object
UNNAMED = -1


@dataclass(frozen=True)
class NamedMask:
    """A mask image and, of the table that names its values, the path and the class index of each value."""

    path: Path
    table: Path
    classes: tuple[tuple[int, int], ...]

    def to_classes(self, values: np.ndarray) -> np.ndarray:
        """Class indices uint8 of pixel values uint8; raises ValueError for one that the table does not name."""
        indices = np.full(256, UNNAMED, np.int16)
        indices[[value for value, _ in self.classes]] = [index for _, index in self.classes]
        found = indices[values]
        if (found == UNNAMED).any():
            raise ValueError(f"has value {values[found == UNNAMED].min()}, which {self.table.name} does not name")
        return found.astype(np.uint8)


def read_value_names(path: Path) -> dict[int, str]:
    """The names of pixel values in a CSV of rows such as '1, prostate' under a header; raises SourceError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path.name} cannot be read: {error}") from error
    names: dict[int, str] = {}
    for row in rows[1:]:
        is_named = len(row) == 2 and row[0].isdecimal() and int(row[0]) < 256 and row[1]
        if not is_named or int(row[0]) in names:
            raise SourceError(
                f"{path.name} has the row {row}; it must be a value of its own and its class: 1, prostate"
            )
        names[int(row[0])] = row[1]
    if not names:
        raise SourceError(f"{path.name} names no pixel value; it must hold rows such as 1, prostate under a header")
    return names


def class_of_values(names: Mapping[int, str], meanings: ClassNames, table: Path) -> tuple[tuple[int, int], ...]:
    """The class index of each value; raises SourceError for a name without a meaning, and for a class without a value.

    What is to be dropped is background.
    """
    classes = {}
    for value, name in names.items():
        known = name in meanings.classes or name in meanings.meanings
        try:
            classes[value] = 0 if name.lower() == BACKGROUND and not known else meanings.index(name) or 0
        except SourceError as error:
            raise SourceError(f"{table.name} {error}") from error
    without = [name for number, name in enumerate(meanings.classes, 1) if number not in classes.values()]
    if without:
        raise SourceError(f"{table.name} names {list(names.values())}; DATASETS.CLASSES has {without} besides")
    return tuple(sorted(classes.items()))
