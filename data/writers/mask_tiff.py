"""Masks as tiled, compressed, pyramidal TIFF: class indices with a palette, read by every slide viewer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from data.patches.grid import blocks
from data.patches.tiles import PALETTE
from data.stitching.mask import MaskView
from data.stitching.probability_map import ProbabilityMap
from utils.atomic import atomic_path

TILE = 512
SMALLEST_LEVEL = 1024  # the pyramid ends once both sides are at most this


def write_mask_tiff(path: Path, probabilities: ProbabilityMap, threshold: float) -> None:
    """Write the mask at level 0 and its pyramid, tile by tile; values are class indices, 0 is background.

    Every level is made from the probability map itself, so that the outlines agree. Levels are plain pages with
    subfiletype 1, which tifffile, openslide and tiffslide all take for a pyramid.
    """
    frame = probabilities.frame
    with atomic_path(path) as draft, tifffile.TiffWriter(draft, bigtiff=np.prod(frame.shape_level0) > 2**31) as writer:
        for level, shape in enumerate(pyramid_shapes(frame.shape_level0)):
            writer.write(
                _tiles(MaskView(probabilities.on_image(shape), threshold)),
                shape=shape,
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="palette",
                colormap=_colormap(),
                compression="zlib",
                subfiletype=int(level > 0),
                metadata=None,
                software="",
                **_resolution(frame.spacing_um, frame.shape_level0, shape),
            )


def pyramid_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the levels: level 0, then halves."""
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        shapes.append(tuple(max(1, n // 2) for n in shapes[-1]))
    return shapes


def _tiles(mask: MaskView) -> Iterator[np.ndarray]:
    for box in blocks(mask.shape, (TILE, TILE)):
        missing = [(0, TILE - n) for n in box.size]
        yield np.pad(mask.read(box), missing)


def _colormap() -> np.ndarray:
    colours = np.full((256, 3), 128, np.uint16)
    known = np.array(PALETTE, np.uint16).reshape(-1, 3)
    colours[: len(known)] = known
    return colours.T * 257


def _resolution(
    spacing_um: tuple[float, ...] | None, shape_level0: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, object]:
    """Pixels per centimetre, (x, y), of a level whose image has the given pixel size at level 0."""
    if spacing_um is None:
        return {}
    row, column = (um * full / own for um, full, own in zip(spacing_um, shape_level0, shape, strict=True))
    return {"resolution": (10_000 / column, 10_000 / row), "resolutionunit": "CENTIMETER"}
