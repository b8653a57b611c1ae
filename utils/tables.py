"""Reading and writing of small CSV tables in which every cell is the text that stands there."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from utils.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd

MOST_LETTERS = 2**31 - 1  # of a cell: run lengths of a slide are long
MOST_SHOWN = 300
NEWLINE = b"\n"


class TableError(ValueError):
    """A CSV that cannot be used; the message names the file."""


def read_table(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    """All cells of a CSV as text, so that ids such as 001, 1e5 and NA stay as they are; the index is that of lines.

    Columns without a name are left out. Raises TableError, naming file and line, when the file is missing, is no CSV in
    UTF-8, lacks one of `columns`, has one twice, or has a row of other length than its header.
    """
    import pandas as pd  # half a second, which a step without tables is spared

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = _read_rows(file, path)
    except FileNotFoundError as error:
        raise TableError(f"{path} is missing") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} {_foreign_byte(path)}; save it as UTF-8") from error
    except OSError as error:
        raise TableError(f"{path} is no readable CSV: {error}") from error
    lines = [line for line, _ in rows[1:]]
    table = pd.DataFrame([cells for _, cells in rows[1:]], lines, rows[0][1], dtype=str)
    missing = [column for column in columns if column not in table]
    if missing:
        shown = str(list(table.columns))[:MOST_SHOWN]  # a table without a header may have an image there
        raise TableError(f"{path.name} has no column {missing}; it has {shown}{_hint(rows[0][1])}")
    return table.loc[:, [bool(name) for name in table.columns]]


def _read_rows(file: TextIO, path: Path) -> list[tuple[int, list[str]]]:
    """The line where it begins and the cells of each row, that of the header first; empty lines are no rows."""
    most = csv.field_size_limit(MOST_LETTERS)
    reader, rows, line = csv.reader(file, strict=True), [], 1
    try:
        for cells in reader:
            rows += [(line, cells)] if cells else []
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path} is no readable CSV: line {line}: {error}") from error
    finally:
        csv.field_size_limit(most)
    if not rows:
        raise TableError(f"{path} is no readable CSV: it is empty")
    header = rows[0][1]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise TableError(f"{path} has the columns {twice} more than once")
    for line, cells in rows:
        if len(cells) != len(header):
            raise TableError(f"{path} line {line} has {len(cells)} cells, its header {len(header)}")
        if any("\0" in cell for cell in cells):
            raise TableError(f"{path} line {line} holds a byte of zero: the file is damaged")
    return rows


def _foreign_byte(path: Path) -> str:
    """Where the first byte stands that is not UTF-8."""
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return (
            f"line {data.count(NEWLINE, 0, error.start) + 1} has the byte 0x{data[error.start]:02x}, which is not UTF-8"
        )
    return "has changed while it was read"


def _hint(header: Sequence[str]) -> str:
    """What to do about a header that other signs than commas part."""
    marks = [mark for mark in ";\t" if len(header) == 1 and mark in header[0]]
    return f"; cells must be parted by commas, not by {marks[0]!r}" if marks else ""


def write_table(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Write rows under a header, in one step; numbers keep six significant digits.

    Bytes of a file's name that are no UTF-8 become escapes.
    """
    import pandas as pd

    with atomic_path(path) as draft:
        pd.DataFrame(list(rows), columns=list(columns)).to_csv(
            draft, index=False, float_format="%.6g", errors="backslashreplace"
        )
