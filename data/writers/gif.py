"""A film of a volume's slices with its mask laid over, one frame a slice, as GIF."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data.sources.source import Source
from data.stitching.mask import Threshold
from data.stitching.probability_map import ProbabilityMap
from data.writers.slices import AXES, Slices, sides_of, slices_of, spacing_of
from utils.atomic import atomic_path
from utils.colours import CLASS_COLOURS

MOST_PX, LEAST_PX = 512, 320  # longest side of a frame
FRAME_MS = 80
OPACITY = 0.4  # of the mask


def write_gif(path: Path, source: Source, probabilities: ProbabilityMap, threshold: Threshold, axis: int) -> None:
    """Write the slices across an axis of a volume in order, each with its number; equal input gives equal bytes."""
    longest = max(side for each, side in enumerate(sides_of(source)) if each != axis)
    natural = longest / min(spacing_of(source))
    slices = slices_of(source, axis, longest / min(max(natural, LEAST_PX), MOST_PX))
    frames = _frames(slices, source, probabilities, threshold)
    with atomic_path(path) as draft:
        next(frames).save(
            draft, "GIF", save_all=True, append_images=frames, duration=FRAME_MS, loop=0, optimize=False, disposal=1
        )


def _frames(
    slices: Slices, source: Source, probabilities: ProbabilityMap, threshold: Threshold
) -> Iterator[Image.Image]:
    colours = min(len(probabilities.frame.classes), len(CLASS_COLOURS))
    palette = frame_palette(colours)
    for number in range(len(slices)):
        mask = slices.mask(probabilities, threshold, number)
        picture = slices.picture(source, number)
        frame = Image.fromarray(paint(np.rint(picture.mean(-1)).astype(np.uint8), mask, colours), "P")
        frame.putpalette(palette.ravel().tolist())
        _number(frame, f"{AXES[slices.axis]} {number + 1}/{len(slices)}", _levels(colours) - 1)
        yield frame


def frame_palette(colours: int) -> np.ndarray:
    """The colours (256, 3) uint8 of all frames: greys, greys tinted by each class colour, then the colours themselves.

    One palette for all needs no choice of colours by the look of a frame.
    """
    levels = _levels(colours)
    greys = np.repeat(np.linspace(0, 255, levels)[:, None], 3, axis=1)
    own = np.array(CLASS_COLOURS[:colours], float)
    tinted = [(1 - OPACITY) * greys + OPACITY * colour for colour in own]
    rows = np.concatenate([greys, *tinted, own])
    return np.rint(np.pad(rows, [(0, 256 - len(rows)), (0, 0)])).astype(np.uint8)


def paint(grey: np.ndarray, mask: np.ndarray, colours: int) -> np.ndarray:
    """Places in the palette of `frame_palette` for a grey picture under a mask, both (rows, columns) uint8."""
    levels = _levels(colours)
    shade = np.rint(grey * ((levels - 1) / 255)).astype(np.uint8)
    colour = np.where(mask > 0, (mask.astype(int) - 1) % colours, -1)
    painted = shade + levels * (colour + 1)
    return np.where(_edge(mask), (colours + 1) * levels + colour, painted).astype(np.uint8)


def _levels(colours: int) -> int:
    """Greys that the palette has room for."""
    return (256 - colours) // (colours + 1)


def _edge(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask beside one of another value, boolean."""
    padded = np.pad(mask, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (mask > 0) & np.any([each != mask for each in neighbours], axis=0)


def _number(frame: Image.Image, text: str, white: int) -> None:
    """Write a slice's number into its corner; without it, two equal slices would become one frame."""
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(max(10, max(frame.size) // 30))
    box = draw.textbbox((4, 3), text, font=font)
    draw.rectangle((0, 0, box[2] + 3, box[3] + 3), fill=0)
    draw.text((4, 3), text, fill=white, font=font)
