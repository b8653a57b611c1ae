"""What spoils slides besides tissue: pen marks, a black border that was not scanned, dust out of focus."""

import cv2
import numpy as np

from data.synthetic_objects import Rng

PENS = {"blue": (38, 62, 160), "green": (25, 120, 75), "red": (215, 30, 40), "black": (28, 28, 32)}


def spoil_slide(image: np.ndarray, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A copy of a slide (H, W, 3) with a line of each pen, a black border and dust, and where each is, boolean (H, W).

    Ink and dust lie wherever chance puts them, on tissue too.
    """
    rng = np.random.default_rng(seed)
    light = image / 255.0
    masks = {}
    for name, colour in PENS.items():
        cover = _draw_line(rng, image.shape[:2])
        light *= 1 - cover[..., None] * (1 - np.array(colour) / 255)
        masks[name] = cover > 0.5
    haze, masks["dust"] = _draw_dust(rng, image.shape[:2])
    light *= 1 - haze[..., None] * np.array([0.30, 0.29, 0.27])
    masks["border"] = _border(rng, image.shape[:2])
    light[masks["border"]] = 0
    return np.round(255 * light).astype(np.uint8), masks


def _draw_line(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """A bent stroke about 3 % of the side wide: 1 inside, 0 outside, soft at its edges, (H, W) float64."""
    side = min(shape)
    along = np.linspace(0, 1, 60)
    start, stop = rng.uniform(0.05, 0.95, (2, 2)) * shape
    bend = 0.15 * side * rng.uniform(-1, 1) * np.sin(np.pi * along)
    across = (stop - start)[::-1] * (1, -1) / max(np.hypot(*(stop - start)), 1)
    points = start + along[:, None] * (stop - start) + bend[:, None] * across
    canvas = np.zeros(shape, np.uint8)
    width = max(3, round(side * rng.uniform(0.02, 0.035)))
    cv2.polylines(canvas, [np.round(points[:, ::-1]).astype(np.int32)], False, 255, width, cv2.LINE_AA)
    return cv2.GaussianBlur(canvas, (0, 0), max(1.0, width / 20)) / 255.0


def _draw_dust(rng: Rng, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Blurred grey spots, 0 to 1, and where they can be seen."""
    side = min(shape)
    haze = np.zeros(shape, np.float32)
    for _ in range(rng.integers(4, 9)):
        row, column = rng.uniform(0, shape)
        box = ((float(column), float(row)), tuple(rng.uniform(0.02, 0.06, 2) * side), float(rng.uniform(0, 180)))
        cv2.ellipse(haze, box, 1.0, -1)
    haze = cv2.GaussianBlur(haze, (0, 0), side / 60)
    return haze, haze > 0.2


def _border(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """The part of the slide that was not scanned: a strip along two of its sides, boolean (H, W)."""
    rows, columns = (int(n * rng.uniform(0.03, 0.08)) for n in shape)
    border = np.zeros(shape, bool)
    border[:rows] = True
    border[:, shape[1] - columns :] = True
    return border
