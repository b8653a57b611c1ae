"""What the labels of a case say, painted pixel by pixel, and what became of them: the tiles of its mask."""

import csv
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image

from tests.reliability.room import ODD, SHAPE, Room, draw, write_slide
from utils.messages import one_line
from utils.rle import encode_rle

Check = Callable[[Room], str]
PADDING = 255  # of tiles that reach past the image


def painted(text: str, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """The mask of run lengths, one pixel after the other; not by the code under test."""
    mask, numbers = np.zeros(shape, np.uint8), [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for place in range(start - 1, start - 1 + length):
            mask[place % shape[0], place // shape[0]] = 1
    return mask


def predicted(room: Room, name: str) -> np.ndarray:
    """The mask that a prediction wrote; the network of the room finds the disc of every slide."""
    return tifffile.imread(room.out / "masks" / f"{name}.tiff")


def cut(room: Room, name: str, shape: tuple[int, int]) -> np.ndarray:
    """The mask that the tiles of a case show together; the first tile's size is that of all."""
    mask = np.zeros(shape, np.uint8)
    (index,) = room.out.glob("images_*/tiles.csv")
    with index.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] == name]
    for row in rows:
        with Image.open(index.parent.with_name(index.parent.name.replace("images", "masks")) / row["tile"]) as image:
            tile = np.asarray(image)
        top, left = int(row["row_px"]), int(row["column_px"])
        part = mask[top : top + len(tile), left : left + tile.shape[1]]
        part[:] = tile[: part.shape[0], : part.shape[1]]
        assert (tile[part.shape[0] :] == PADDING).all()
        assert (tile[:, part.shape[1] :] == PADDING).all()
    return mask if rows else np.full(shape, PADDING, np.uint8)


def mask_is(expected: Callable[[], np.ndarray], name: str = ODD) -> Check:
    """A check that a case's tiles, or what was predicted, show a mask, pixel by pixel; one that failed has none."""

    def check(room: Room) -> str:
        failed = room.out / "failures.csv"
        if not failed.exists() or f"\n{one_line(name)}," in failed.read_text(encoding="utf-8"):
            return ""
        mask = expected()
        seen = cut(room, name, mask.shape) if any(room.out.glob("images_*")) else predicted(room, name)
        wrong = int((seen != mask).sum())
        return f"{wrong} of {mask.size} pixels of the mask of {name} are wrong" if wrong else ""

    return check


def labelled_slide(room: Room, name: str = ODD) -> tuple[np.ndarray, str]:
    """A good slide of this id; its mask and the run lengths of that, which no table has yet."""
    image, mask = draw(7)
    write_slide(room.slide(name), image)
    return mask, encode_rle(mask)
