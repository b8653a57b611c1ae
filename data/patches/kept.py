"""The picture of what was kept of a slide: outline of its tissue, what was rejected and why, and the patches."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from data.patches.grid import Box, scale_box
from data.patches.otsu import BLACK, BLURRED, INK, SMALL
from data.patches.tissue import TissueMap
from utils.atomic import atomic_path
from utils.pictures import save_picture
from utils.plots import draw_outlines

REASONS = {
    INK: ("pen mark", (0, 114, 178)),
    BLACK: ("black", (213, 94, 0)),
    BLURRED: ("out of focus", (86, 180, 233)),
    SMALL: ("too small", (230, 159, 0)),
}
FADED = 0.5  # of the colour that areas outside every patch keep
EDGE = (34, 38, 43)
LINE_PX = 24  # height of the legend


def write_kept(path: Path, tissue: TissueMap | None, boxes: Iterable[Box], shape: tuple[int, ...]) -> None:
    """Draw the boxes, which count cells of the image at `shape`, over the picture on which tissue was sought.

    Without such a picture the one of an earlier run is taken away.
    """
    if tissue is None:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as draft:
        save_picture(draft, draw_kept(tissue, boxes, shape), quality=88)


def draw_kept(tissue: TissueMap, boxes: Iterable[Box], shape: tuple[int, ...]) -> np.ndarray:
    """A picture (rows, columns, 3) uint8 with a legend below it; areas outside every box are faded."""
    small = [scale_box(box.within(shape), shape, tissue.mask.shape) for box in boxes]
    canvas = np.repeat(tissue.picture, 3, axis=-1) if tissue.picture.shape[-1] == 1 else tissue.picture.copy()
    inside = np.zeros(tissue.mask.shape, bool)
    for box in small:
        inside[box.slices] = True
    canvas[~inside] = np.round(255 - FADED * (255.0 - canvas[~inside])).astype(np.uint8)
    for why, (_, colour) in REASONS.items():
        canvas[tissue.rejected == why] = colour
    canvas = draw_outlines(canvas, {"truth": tissue.mask.astype(np.uint8)}, 1)
    for box in small:
        (top, left), (bottom, right) = box.start, box.stop
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), EDGE, 1)
    return np.concatenate([canvas, _legend(canvas.shape[1], tissue.rejected)])


def _legend(width: int, rejected: np.ndarray) -> np.ndarray:
    """What the colours mean, as many as the width has room for."""
    line = np.full((LINE_PX, width, 3), 255, np.uint8)
    found = [entry for why, entry in REASONS.items() if (rejected == why).any()]
    left = 8
    for name, colour in [("tissue", (0, 158, 115)), ("patch", EDGE), *found]:
        cv2.rectangle(line, (left, 7), (left + 10, 17), colour, -1)
        cv2.putText(line, name, (left + 15, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, EDGE, 1, cv2.LINE_AA)
        left += 30 + 8 * len(name)
    return line
