"""Tissue by Otsu's threshold on a small picture, without pen marks, black areas, what is out of focus, and crumbs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

# why a cell that is darker than glass is no tissue, in TissueMap.rejected
INK, BLACK, BLURRED, SMALL = 1, 2, 3, 4

FAINTEST = 12  # darkness, 0 to 255, from which anything can be tissue: glass with its noise and shading stays below
GLASS_MEAN = 12  # cells that are darker on average are no glass, so that pale tissue is not taken for it
HIGHEST, TWO_KINDS = 40, 0.8  # a higher threshold is doubted where Otsu's classes below it hold this share of variance
GLASS_SATURATION = 30  # a more colourful bright area is pale tissue; the light's own tint stays below
DARKEST_BLACK, DARKEST_GLASS = 50, 128  # brightest channel of what was not scanned; darkest of glass
REACH_PX = 3  # how far the blurred rim of a pen mark or of a black area reaches
SHARP = 8  # darkness that changes by so much a cell is an edge in focus
SHARP_RIM, SHARP_INSIDE = 0.15, 0.05  # a piece with less of its rim and of its inside in focus is blurred


@dataclass(frozen=True)
class OtsuDetector:
    """What counts as a piece of tissue: at least `min_piece_um2`, holes up to `max_hole_um2` filled, no pen marks."""

    min_piece_um2: float = 5_000.0
    max_hole_um2: float = 10_000.0
    reject_ink: bool = True

    def find(self, picture: np.ndarray, cell_um2: float) -> tuple[np.ndarray, np.ndarray]:
        """Tissue, boolean (rows, columns), and why other cells are none (INK, BLACK, BLURRED, SMALL or 0), uint8.

        `picture` is (rows, columns, channels) uint8: three channels are transmitted light, `contrast` says what others
        are. `cell_um2` is the area of one of its cells.
        """
        is_colour = picture.shape[-1] == 3
        marks = find_marks(picture, self.reject_ink) if is_colour else np.zeros(picture.shape[:2], np.uint8)
        usable = marks == 0
        dark = cv2.medianBlur(darkness(picture, usable) if is_colour else contrast(picture), 3)
        found = (dark >= tissue_threshold(np.bincount(dark[usable], minlength=256))) & usable
        found = fill_holes(found, self.max_hole_um2 / cell_um2) & usable
        rejected = np.maximum(marks, reject_pieces(found, dark, self.min_piece_um2 / cell_um2))
        return found & (rejected == 0), rejected


# ---- how dark


def darkness(picture: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """How much of the light of glass is missing in the colour that is missing most, (rows, columns) uint8."""
    glass = glass_colour(picture, usable)
    missing = np.round(255 * (1 - np.minimum(np.arange(256)[:, None] / glass, 1))).astype(np.uint8)
    return _most(missing[:, channel][plane] for channel, plane in enumerate(cv2.split(picture)))


def glass_colour(picture: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Median colour (3,) of the brightest twentieth of the usable cells, made grey if it is too colourful for glass."""
    least = 255 - _most(255 - plane for plane in cv2.split(picture))
    limit = _quantile(np.bincount(least[usable], minlength=256), 0.95)
    bright = picture[usable & (least >= limit)]
    colour = np.median(bright, 0) if len(bright) else np.full(3, 255.0)
    saturation = 255 * (1 - colour.min() / max(colour.max(), 1))
    is_glass = saturation <= GLASS_SATURATION and colour.min() >= DARKEST_GLASS
    return colour if is_glass else np.full(3, max(colour.max(), DARKEST_GLASS))


def _most(planes: Iterable[np.ndarray]) -> np.ndarray:
    return reduce(np.maximum, planes)


def _quantile(count: np.ndarray, share: float) -> int:
    """The value below which at least `share` of counted values lie."""
    return int(np.searchsorted(np.cumsum(count), share * count.sum()))


def contrast(picture: np.ndarray) -> np.ndarray:
    """How far the strongest channel lies from the background, (rows, columns) uint8.

    The background is the most common value: dark in fluorescence, bright in transmitted light.
    """
    value = _most(cv2.split(picture))
    background = int(np.bincount(value.ravel(), minlength=256).argmax())
    apart = value.astype(np.int16) - background if background < 128 else background - value.astype(np.int16)
    return np.maximum(apart, 0).astype(np.uint8)


def tissue_threshold(count: np.ndarray) -> int:
    """Darkness from which a cell is tissue, from the number of cells (256,) of each darkness: 0 where all are tissue.

    Otsu's threshold on the square root of darkness, which gives dark stains less weight, so that pale tissue stays.
    Where it parts pale tissue from dark, what lies below is parted again. At least FAINTEST where there is glass.
    """
    threshold, below = 0, count
    while np.count_nonzero(below) > 1 and not (threshold and _is_glass(below)):
        threshold, _ = otsu(below)
        below = below[:threshold]
    return max(threshold, FAINTEST) if _mean(below) <= GLASS_MEAN else 0


def _is_glass(count: np.ndarray) -> bool:
    """Whether the cells below a threshold are glass throughout, by their number (threshold,) of each darkness."""
    return _mean(count) <= GLASS_MEAN and (len(count) <= HIGHEST or otsu(count)[1] < TWO_KINDS)


def _mean(count: np.ndarray) -> float:
    return float((count * np.arange(len(count))).sum() / max(count.sum(), 1))


def otsu(count: np.ndarray) -> tuple[int, float]:
    """The value that begins the upper of two classes which lie furthest apart, for the number (n,) of cells of each.

    With it the share, 0 to 1, of the variance that lies between the classes. N. Otsu, A threshold selection method
    from gray-level histograms, IEEE Trans. SMC 9 (1979), of square roots.
    """
    root = np.sqrt(np.arange(len(count)))
    below, total = np.cumsum(count)[:-1], count.sum()
    mass, overall = np.cumsum(count * root)[:-1], (count * root).sum() / total
    parted = (below > 0) & (below < total)
    between = np.where(parted, (mass - below * overall) ** 2 / np.maximum(below * (total - below), 1), 0)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    variance = (count * (root - overall) ** 2).sum() / total
    return int(best[len(best) // 2]) + 1, float(between.max() / max(variance, 1e-9))


# ---- what is no tissue


def find_marks(picture: np.ndarray, ink: bool) -> np.ndarray:
    """INK on pen marks, BLACK on what was not scanned or is painted black, 0 elsewhere, (rows, columns) uint8."""
    brightest = _most(cv2.split(picture))
    neutral = brightest - (255 - _most(255 - plane for plane in cv2.split(picture))) < 40
    marks = np.zeros(picture.shape[:2], np.uint8)
    marks[_with_rim((brightest < DARKEST_BLACK) & neutral, neutral & (brightest < 160))] = BLACK
    if ink:
        marks[find_ink(picture)] = INK
    return marks


def find_ink(picture: np.ndarray) -> np.ndarray:
    """Green, blue and red pen marks, boolean: hues that neither haematoxylin, eosin, PAS nor DAB have so strongly."""
    hue, saturation, value = cv2.split(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV))
    cold = (hue >= 70) & (hue <= 235)
    red = ((hue >= 345) | (hue <= 15)) & (value >= 0.6)
    strong = (cold & (saturation >= 0.5)) | (red & (saturation >= 0.8))
    return _with_rim(strong, (cold & (saturation >= 0.1)) | (red & (saturation >= 0.35)))


def _with_rim(core: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Cells of `core` that do not stand alone, and those of `like` near them."""
    core = cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    near = cv2.dilate(core, np.ones((2 * REACH_PX + 1,) * 2, np.uint8))
    return (core | (near & like)) > 0


def fill_holes(found: np.ndarray, cells: float) -> np.ndarray:
    """`found`, boolean, with its holes of at most so many cells filled; what touches the border is no hole."""
    _, number, stats, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=4)
    left, top, width, height, area = stats.T
    inside = (left > 0) & (top > 0) & (left + width < found.shape[1]) & (top + height < found.shape[0])
    hole = inside & (area <= cells)
    hole[0] = False
    return found | hole[number]


def reject_pieces(found: np.ndarray, dark: np.ndarray, cells: float) -> np.ndarray:
    """SMALL on pieces of fewer cells, BLURRED on those whose rim and inside are both out of focus, 0 elsewhere."""
    count, number, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    across, down = (cv2.Sobel(dark, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    steep = cv2.dilate((cv2.magnitude(across, down) >= SHARP).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rim = found & (cv2.erode(found.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    why = np.zeros(count, np.uint8)
    why[stats[:, cv2.CC_STAT_AREA] < cells] = SMALL
    why[(_share(number, rim, steep) < SHARP_RIM) & (_share(number, found, steep) < SHARP_INSIDE)] = BLURRED
    why[0] = 0
    return why[number]


def _share(number: np.ndarray, of: np.ndarray, steep: np.ndarray) -> np.ndarray:
    """Share of steep cells among those `of` each piece, by its number."""
    pieces = int(number.max()) + 1
    total = np.bincount(number[of], minlength=pieces)
    steep_ones = np.bincount(number[of & steep], minlength=pieces)
    return np.where(total > 0, steep_ones / np.maximum(total, 1), 1)  # a piece that fills the picture has no rim
