"""What a run made of the odd case, compared with the image and the mask that went in, pixel by pixel."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.reliability.room import ODD, Room

Check = Callable[[Room], str]
SIZE = 64  # of the tiles
PADDING = 255


def shows(image: np.ndarray, mask: np.ndarray, mean: np.ndarray | None = None) -> Check:
    """A check that all tiles of the odd case are those of the image and the mask, or that it was predicted as drawn.

    `mean` is where the network, which gives the mean over the channels, finds something, if not on the mask.
    """
    found = mask > 0 if mean is None else mean

    def check(room: Room) -> str:
        index = next(room.out.glob("images_*/tiles.csv"), None)
        return tiles_of(index, image, mask) if index else predicted(room.out / "output.csv", found)

    return check


def tiles_of(index: Path, image: np.ndarray, mask: np.ndarray) -> str:
    """What is wrong with the tiles that an index names of the odd case."""
    rows = [row for row in _rows(index) if row["id"] == ODD]
    shape, covered = image.shape[:2], np.zeros(image.shape[:2], bool)
    padding = [(0, SIZE)] * 2
    wide = np.pad(image, [*padding, (0, 0)], mode="symmetric"), np.pad(mask, padding, constant_values=PADDING)
    for row in rows:
        top, left = int(row["row_px"]), int(row["column_px"])
        place = slice(top, top + SIZE), slice(left, left + SIZE)
        covered[place] = True
        for kind, expected in zip(("images", "masks"), wide, strict=True):
            folder = index.parent.with_name(index.parent.name.replace("images", kind))
            if not np.array_equal(_pixels(folder / row["tile"]), expected[place]):
                return f"{kind} of {row['tile']} are others"
    return "" if rows and covered.all() else f"{len(rows)} tiles leave out {(~covered).sum()} of {shape} pixels"


def predicted(table: Path, found: np.ndarray) -> str:
    """What is wrong with the run lengths that were predicted of the odd case."""
    (text,) = [row["predicted"] for row in _rows(table) if row["id"] == ODD]
    numbers = [int(word) for word in text.split()]
    mask = np.zeros(found.size, bool)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        mask[start - 1 : start - 1 + length] = True
    wrong = int((mask.reshape(found.shape, order="F") != found).sum())
    return f"{wrong} of {found.size} pixels of the mask are others" if wrong else ""


def _rows(table: Path) -> list[dict[str, str]]:
    csv.field_size_limit(2**30)
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
