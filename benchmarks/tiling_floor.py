"""Cutting one slide against its floor, in turn and in one process: python -m benchmarks.tiling_floor HOME REPEATS.

The floor decodes each source tile under a kept tile once, at the level that is read, and encodes each kept pair once,
with as many threads as cutting has. Without a pyramid all source tiles are needed, since tissue is found on them.
"""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import tifffile

from config import load_cfg
from data.cases import list_cases
from data.patches.grid import Box, scale_box
from data.patches.statistics import PixelStatistics
from data.patches.tiles import (
    TileFolder,
    TileRow,
    build_tile_folder,
    cut_case,
    load_image,
    load_mask,
    save_image,
    save_mask,
    start_tiles,
)
from data.sources import open_source
from data.sources.opening import build_reader
from data.sources.source import best_level
from utils.threads import reader_count

READING = Lock()  # threads share the file's place


def compare(home: Path, scratch: Path, repeats: int) -> dict[str, object]:
    """Seconds of cutting and of the floor by turns, and how much there was to do."""
    cfg = load_cfg("", [
        "DATASETS.WSI_FOLDER", str(home / "slides"), "DATASETS.LABELS_CSV", str(home / "labels.csv"),
        "DATASETS.TRAIN_FOLDER", str(scratch),
    ])  # fmt: skip
    (case,) = list_cases(cfg).cases
    reader, folder, spent, floor = build_reader(cfg), build_tile_folder(cfg), [], []
    start_tiles(folder)
    for _ in range(repeats):
        begun = time.perf_counter()
        rows, _ = cut_case(case, reader, folder, PixelStatistics())
        spent.append(time.perf_counter() - begun)
        decode, encode, source_tiles = floor_seconds(case.image, folder, rows, scratch / "again.png")
        floor.append(decode + encode)
    return {"seconds": spent, "floor": floor, "decode": decode, "encode": encode,
            "tiles": len(rows), "source_tiles": source_tiles}  # fmt: skip


def floor_seconds(slide: Path, folder: TileFolder, rows: list[TileRow], scratch: Path) -> tuple[float, float, int]:
    """Seconds of decoding and of encoding, and the number of source tiles."""
    pairs = [(load_image(folder.images / row.tile), load_mask(folder.masks / row.tile)) for row in rows]
    with ThreadPoolExecutor(reader_count()) as pool, tifffile.TiffFile(slide) as file:
        page, wanted = needed_tiles(slide, file, folder, rows)
        begun = time.perf_counter()
        for _ in pool.map(lambda number: _decode(page, number), wanted):
            pass
        decoded = time.perf_counter()
        for _ in pool.map(lambda numbered: _encode(scratch, *numbered), enumerate(pairs)):
            pass
        return decoded - begun, time.perf_counter() - decoded, len(wanted)


def needed_tiles(
    slide: Path, file: tifffile.TiffFile, folder: TileFolder, rows: list[TileRow]
) -> tuple[tifffile.TiffPage, list[int]]:
    """The page of the level that is read and the numbers of its tiles under the kept ones."""
    with open_source(slide) as source:
        shape = folder.scale.shape_of(source)
        page = file.pages[best_level(source, shape)]
    _ = page.decode  # tifffile looks into the file when it is asked first, which must not happen in two threads
    across = -(-page.imagewidth // page.tilewidth)
    if len(file.pages) == 1:
        return page, list(range(len(page.dataoffsets)))
    found = set()
    for row in rows:
        box = scale_box(Box((row.row_px, row.column_px), (folder.size,) * 2).within(shape), shape, page.shape[:2])
        (top, left), (bottom, right) = box.start, box.stop
        for down in range(top // page.tilelength, -(-bottom // page.tilelength)):
            found |= {down * across + i for i in range(left // page.tilewidth, -(-right // page.tilewidth))}
    return page, sorted(found)


def _decode(page: tifffile.TiffPage, number: int) -> None:
    with READING:
        page.parent.filehandle.seek(page.dataoffsets[number])
        data = page.parent.filehandle.read(page.databytecounts[number])
    page.decode(data, number, jpegtables=page.jpegtables)


def _encode(scratch: Path, number: int, pair: tuple) -> None:
    image, mask = pair
    save_image(scratch.with_stem(f"image{number % 64}"), image)
    save_mask(scratch.with_stem(f"mask{number % 64}"), mask)


def main(argv: Sequence[str]) -> None:
    """Print the comparison as JSON."""
    with TemporaryDirectory() as scratch:
        print(json.dumps(compare(Path(argv[0]), Path(scratch), int(argv[1]))))


if __name__ == "__main__":
    main(sys.argv[1:])
