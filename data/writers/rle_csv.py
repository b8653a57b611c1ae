"""Predicted masks as run lengths of level 0, streamed by column strips."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.stitching.mask import MaskView
from utils.atomic import atomic_path
from utils.rle import encode_strips

STRIP_PX = 2**23


def write_case_rle(path: Path, case_id: str, mask: MaskView, classes: Sequence[str]) -> None:
    """Write the lines of one case, `id,run lengths` or, with several classes, `id,class,run lengths` for each."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        for number, name in enumerate(classes, start=1):
            file.write(f"{_cell(case_id)}," if len(classes) == 1 else f"{_cell(case_id)},{_cell(name)},")
            file.writelines(encode_strips(_columns(mask, number)))
            file.write("\n")


def join_rle(path: Path, parts: Iterable[Path], classes: Sequence[str]) -> None:
    """Write output.csv, the lines of all cases under a header."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        file.write("id,predicted\n" if len(classes) == 1 else "id,class,predicted\n")
        for part in parts:
            with part.open(encoding="utf-8", newline="") as lines:
                file.writelines(lines)


def _columns(mask: MaskView, number: int) -> Iterator[np.ndarray]:
    rows, columns = mask.shape
    width = max(1, STRIP_PX // rows)
    for left in range(0, columns, width):
        yield mask.read(Box((0, left), (rows, min(width, columns - left)))) == number


def _cell(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in ',"\n\r') else text
