"""A slide of any size and its labels: python -m benchmarks.big_slide FOLDER SIDE [--flat] [--glass].

A drawn field of tissue repeats inside a disc on glass, which fills half of the area. Equal tiles are encoded once.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import tifffile

from data.patches.grid import Box, blocks
from data.synthetic import draw_slide
from utils.atomic import atomic_path
from utils.rle import find_runs

PERIOD = 2048  # of the field, in pixels of level 0
CORNER = (1152, 1040)  # of the part of the drawn slide that is all tissue
TILE = 256
GLASS = 243
RADIUS = 0.4  # of the disc, in sides
SPACING_UM = 0.25
SMALLEST_LEVEL = 512
QUALITY = 85


@cache
def draw_field(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image (PERIOD, PERIOD, 3) and mask (PERIOD, PERIOD) of nothing but tissue: the middle of a drawn slide."""
    image, mask = draw_slide(seed, (2 * PERIOD, 2 * PERIOD))
    part = Box(CORNER, (PERIOD, PERIOD)).slices
    return image[part], mask[part]


def write_slide(path: Path, side: int, *, flat: bool = False, glass: bool = False) -> None:
    """Write a square slide of JPEG tiles at 0.25 um/px: a pyramid unless `flat`, empty if `glass`."""
    steps = [1]
    while not flat and side // steps[-1] >= 2 * SMALLEST_LEVEL:
        steps.append(2 * steps[-1])
    with atomic_path(path) as draft, tifffile.TiffWriter(draft, bigtiff=True) as writer:
        for step in steps:
            writer.write(
                _glass_tiles(side // step) if glass else _encoded_tiles(side // step, step),
                shape=(side // step, side // step, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=int(step > 1),
                resolution=(10_000 / SPACING_UM / step,) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
            )


def _glass_tiles(side: int) -> Iterator[bytes]:
    tile = _encode(np.full((TILE, TILE, 3), GLASS, np.uint8))
    for _ in blocks((side, side), (TILE, TILE)):
        yield tile


def _encoded_tiles(side: int, step: int) -> Iterator[bytes]:
    """JPEG tiles of a level in C order; those wholly inside or outside of the disc come from a small store."""
    field = cv2.resize(draw_field()[0], (PERIOD // step,) * 2, interpolation=cv2.INTER_AREA)
    store: dict[tuple[int, ...], bytes] = {}
    for box in blocks((side, side), (TILE, TILE)):
        inside = in_disc(box, side)
        phase = tuple(a % len(field) for a in box.start) if inside.any() else ()
        if not inside.all() and inside.any():
            yield _encode(_tile(field, box, inside))
            continue
        if phase not in store:
            store[phase] = _encode(_tile(field, box, inside))
        yield store[phase]


def in_disc(box: Box, side: int) -> np.ndarray:
    """Whether pixels of a whole tile lie in the disc of an image of `side`: (TILE, TILE), or (1, 1) if all agree."""
    middle = (side - 1) / 2
    near = [max(a - middle, middle - (a + TILE - 1), 0) for a in box.start]
    far = [max(abs(a - middle), abs(a + TILE - 1 - middle)) for a in box.start]
    if np.hypot(*far) < side * RADIUS or np.hypot(*near) >= side * RADIUS:
        return np.full((1, 1), np.hypot(*far) < side * RADIUS)
    rows, columns = (np.arange(a, a + TILE) - middle for a in box.start)
    return np.hypot(rows[:, None], columns) < side * RADIUS


def _tile(field: np.ndarray, box: Box, inside: np.ndarray) -> np.ndarray:
    place = np.ix_(*((np.arange(a, a + TILE)) % len(field) for a in box.start))
    return np.where(inside[..., None], field[place], GLASS).astype(np.uint8)


def _encode(tile: np.ndarray) -> bytes:
    """JPEG with colours at half resolution, as scanners write it."""
    return cv2.imencode(".jpg", tile[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def tissue_px(side: int, reduction: float = 1) -> float:
    """Pixels of the disc at a reduction of level 0."""
    return np.pi * (RADIUS * side / reduction) ** 2


def write_labels(path: Path, slide_id: str, side: int, *, glass: bool = False) -> None:
    """Write the run lengths of such a slide, which are empty for glass."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(f"id,encoding\n{slide_id},")
        if not glass:
            file.writelines(_runs(side))
        file.write("\n")


def _runs(side: int) -> Iterator[str]:
    """Text of the runs column by column: those of the field, repeated and cut to the disc's chord."""
    mask, middle = draw_field()[1], (side - 1) / 2
    edges = [_repeated_edges(mask[:, column], side) for column in range(PERIOD)]
    lead = ""
    for column in range(side):
        half = np.sqrt(max((side * RADIUS) ** 2 - (column - middle) ** 2, 0))
        first, last = int(np.floor(middle - half)) + 1, int(np.ceil(middle + half))
        begun, ended = (np.clip(edge, first, last) for edge in edges[column % PERIOD])
        kept = ended > begun
        if half > 0 and kept.any():
            pairs = np.column_stack([begun[kept] + column * side + 1, (ended - begun)[kept]])
            yield lead + " ".join(map(str, pairs.ravel().tolist()))
            lead = " "


def _repeated_edges(column: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """First and past-the-last rows of the runs of a column that repeats down to `side`."""
    starts, lengths = find_runs(np.tile(column, -(-side // PERIOD)))
    return starts, starts + lengths


def main(argv: Sequence[str]) -> None:
    """Write slides/<name>.tiff, then labels.csv, into a folder of that name."""
    parser = argparse.ArgumentParser(description="Write a slide of any size with its labels.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("side", type=int)
    parser.add_argument("--flat", action="store_true", help="no pyramid")
    parser.add_argument("--glass", action="store_true", help="no tissue")
    args = parser.parse_args(argv)
    name = args.folder.name
    write_slide(args.folder / "slides" / f"{name}.tiff", args.side, flat=args.flat, glass=args.glass)
    write_labels(args.folder / "labels.csv", name, args.side, glass=args.glass)


if __name__ == "__main__":
    main(sys.argv[1:])
