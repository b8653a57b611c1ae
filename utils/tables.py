"""Reading and writing of small CSV tables in which every cell is the text that stands there."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd


class TableError(ValueError):
    """A CSV that cannot be used; the message names the file."""


def read_table(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    """All cells of a CSV as text, so that ids such as 001, 1e5 and NA stay as they are.

    Raises TableError when the file is missing, is no CSV or lacks one of `columns`.
    """
    import pandas as pd  # half a second, which a step without tables is spared

    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except FileNotFoundError as error:
        raise TableError(f"{path} is missing") from error
    except pd.errors.ParserWarning as error:
        raise TableError(f"{path} has more cells in its rows than in its header") from error
    except (ValueError, OSError) as error:
        raise TableError(f"{path} is no readable CSV: {error}") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise TableError(f"{path.name} has no column {missing}; it has {list(table.columns)}")
    return table


def write_table(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Write rows under a header, in one step; numbers keep six significant digits."""
    import pandas as pd

    with atomic_path(path) as draft:
        pd.DataFrame(list(rows), columns=list(columns)).to_csv(draft, index=False, float_format="%.6g")
