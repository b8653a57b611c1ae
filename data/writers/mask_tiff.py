"""Masks as tiled, compressed, pyramidal TIFF: class indices with a palette, read by every slide viewer."""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from data.patches.grid import Box, blocks
from data.stitching.mask import MaskView, Threshold
from data.stitching.probability_map import Frame, ProbabilityMap
from utils.atomic import atomic_path
from utils.colours import class_palette
from utils.threads import Ahead, reader_count

TILE = 512
RUN_TILES = 8  # tiles that a thread makes at a time
ZLIB_LEVEL = 3  # of 1 to 9; twice as quick as 6 on outlines, and half as large again
SMALLEST_LEVEL = 1024  # the pyramid ends once both sides are at most this


def write_mask_tiff(path: Path, probabilities: ProbabilityMap, threshold: Threshold) -> None:
    """Write the mask at level 0 and its pyramid, tile by tile; values are class indices, 0 is background.

    Every level is made from the probability map itself, so that the outlines agree. Levels are plain pages with
    subfiletype 1, which tifffile, openslide and tiffslide all take for a pyramid.
    """
    frame = probabilities.frame
    with atomic_path(path) as draft, tifffile.TiffWriter(draft, bigtiff=is_large(frame)) as writer:
        for level, (shape, tiles) in enumerate(encoded_levels(probabilities, threshold)):
            options = page_options(frame, shape)
            writer.write(tiles, shape=shape, subfiletype=int(level > 0), metadata=None, software="", **options)


def encoded_levels(
    probabilities: ProbabilityMap, threshold: Threshold
) -> Iterator[tuple[tuple[int, ...], Iterator[bytes]]]:
    """For each level of the mask's pyramid its shape and its deflated tiles."""
    frame = probabilities.frame
    constants = [_encode(np.full((TILE, TILE), value, np.uint8)) for value in range(len(frame.classes) + 1)]
    for shape in pyramid_shapes(frame.shape_level0):
        yield shape, _encoded_tiles(MaskView(probabilities.on_image(shape), threshold), constants)


def page_options(frame: Frame, shape: tuple[int, ...]) -> dict[str, Any]:
    """What tifffile is told of the pixels of a level."""
    return {
        "dtype": np.uint8,
        "tile": (TILE, TILE),
        "photometric": "palette",
        "colormap": np.array(class_palette(), np.uint16).T * 257,
        "compression": "zlib",
        **_resolution(frame.spacing_um, frame.shape_level0, shape),
    }


def is_large(frame: Frame) -> bool:
    """Whether a mask needs the places of a BigTIFF."""
    return math.prod(frame.shape_level0) > 2**31


def pyramid_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the levels: level 0, then halves."""
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        shapes.append(tuple(max(1, n // 2) for n in shapes[-1]))
    return shapes


def read_columns(path: Path) -> Iterator[Iterator[np.ndarray]]:
    """Level 0 of a mask that was written here: for each column of tiles from the left, its tiles from top to bottom.

    Tiles (rows, columns) uint8 are cut to the image. Those of one value are broadcast from a single cell.
    """
    constants: dict[bytes, int] = {}
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        rows, columns = page.shape
        tiles = list(zip(page.dataoffsets, page.databytecounts, blocks((rows, columns), (TILE, TILE)), strict=True))
        across = -(-columns // TILE)
        for column in range(across):
            yield (
                _decode(_read_bytes(file, *place), constants)[: box.size[0], : box.size[1]]
                for *place, box in tiles[column::across]
            )


def _encoded_tiles(mask: MaskView, constants: list[bytes]) -> Iterator[bytes]:
    """The tiles of a page in order, made and deflated by threads; `constants` are those of one value, by value."""
    boxes, threads = blocks(mask.shape, (TILE, TILE)), reader_count()
    runs = iter(lambda: list(islice(boxes, RUN_TILES)), [])
    with Ahead(lambda run: [_encoded_tile(mask, box, constants) for box in run], runs, threads, 2 * threads) as made:
        for _, run in made:
            yield from run.result()


def _encoded_tile(mask: MaskView, box: Box, constants: list[bytes]) -> bytes:
    tile = mask.read(box)
    if box.size != (TILE, TILE):
        tile = np.pad(tile, [(0, TILE - n) for n in box.size])
    return constants[int(tile[0, 0])] if tile.min() == tile.max() else _encode(tile)


def _encode(tile: np.ndarray) -> bytes:
    return bytes(imagecodecs.zlibng_encode(tile.tobytes(), level=ZLIB_LEVEL))


def _decode(encoded: bytes, constants: dict[bytes, int]) -> np.ndarray:
    """A tile (TILE, TILE) uint8; `constants` remembers the values of the constant ones."""
    if encoded not in constants:
        pixels = imagecodecs.zlibng_decode(encoded, out=TILE * TILE)
        tile = np.frombuffer(pixels, np.uint8).reshape(TILE, TILE)
        if tile.min() != tile.max():
            return tile
        constants[encoded] = int(tile[0, 0])
    return np.broadcast_to(np.uint8(constants[encoded]), (TILE, TILE))


def _read_bytes(file: tifffile.TiffFile, offset: int, count: int) -> bytes:
    file.filehandle.seek(offset)
    return file.filehandle.read(count)


def _resolution(
    spacing_um: tuple[float, ...] | None, shape_level0: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, object]:
    """Pixels per centimetre, (x, y), of a level whose image has the given pixel size at level 0."""
    if spacing_um is None:
        return {}
    row, column = (um * full / own for um, full, own in zip(spacing_um, shape_level0, shape, strict=True))
    return {"resolution": (10_000 / column, 10_000 / row), "resolutionunit": "CENTIMETER"}
