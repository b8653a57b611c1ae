"""Predicted masks as run lengths of level 0, streamed by column strips."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data.stitching.probability_map import Frame
from data.writers.mask_tiff import read_columns
from utils.atomic import atomic_path
from utils.rle import encode_strips


def write_case_rle(path: Path, case_id: str, mask: Path, frame: Frame) -> None:
    """Write the lines of one case, `id,run lengths` or, with several classes, `id,class,run lengths` for each.

    `mask` is the case's TIFF: runs go down the columns while maps and pyramids are written along the rows, and its
    compressed tiles are a small place in which to turn one into the other.
    """
    classes = frame.classes
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        for number, name in enumerate(classes, start=1):
            strips = ((_equal(tile, number) for tile in tiles) for tiles in read_columns(mask))
            file.write(f"{_cell(case_id)}," if len(classes) == 1 else f"{_cell(case_id)},{_cell(name)},")
            file.writelines(encode_strips(strips, frame.shape_level0[0]))
            file.write("\n")


def join_rle(path: Path, parts: Iterable[Path], classes: Sequence[str]) -> None:
    """Write output.csv, the lines of all cases under a header."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        file.write("id,predicted\n" if len(classes) == 1 else "id,class,predicted\n")
        for part in parts:
            with part.open(encoding="utf-8", newline="") as lines:
                file.writelines(lines)


def _equal(tile: np.ndarray, number: int) -> np.ndarray:
    """Where a tile is of a class; a tile that is broadcast from one cell stays so."""
    return tile == number if any(tile.strides) else np.broadcast_to(tile[0, 0] == number, tile.shape)


def _cell(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in ',"\n\r') else text
