"""Where a slide holds tissue, from a small picture of it."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from yacs.config import CfgNode

from data.patches.grid import Box, scale_box, whole
from data.patches.otsu import OtsuDetector
from data.sources.source import ScaledSource, Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TissueMap:
    """Tissue on a small picture of a slide; `mask` is boolean, in the slide's own axes.

    `picture` is (*mask.shape, channels) uint8, `rejected` uint8 why a cell that is not glass is no tissue
    (INK, BLACK, BLURRED, SMALL of otsu.py, or 0).
    """

    mask: np.ndarray
    picture: np.ndarray
    rejected: np.ndarray

    def fraction(self, box: Box, shape: tuple[int, ...]) -> float:
        """Share of tissue, 0 to 1, in a box of the image at `shape`."""
        inside = self.mask[scale_box(box.within(shape), shape, self.mask.shape).slices]
        return float(inside.mean()) if inside.size else 0.0


class Detector(Protocol):
    """Finds tissue on a picture (*spatial, channels) uint8 whose cells are of `cell_um2` each."""

    def find(self, picture: np.ndarray, cell_um2: float) -> tuple[np.ndarray, np.ndarray]:
        """Tissue, boolean, and why other cells were rejected, uint8; both of the picture's spatial shape."""


@dataclass(frozen=True)
class SaturationDetector:
    """Tissue is where the colour saturation reaches `saturation`; an image without colour is tissue everywhere."""

    saturation: int = 20

    def find(self, picture: np.ndarray, cell_um2: float) -> tuple[np.ndarray, np.ndarray]:
        """Tissue, and zeros: nothing is rejected.

        Saturation is 255 * (max - min) / max over the three channels, after a 3 x 3 median.
        """
        rejected = np.zeros(picture.shape[:-1], np.uint8)
        if picture.shape[-1] != 3:
            return np.ones(rejected.shape, bool), rejected
        red, green, blue = np.moveaxis(picture, -1, 0)
        brightest = np.maximum(np.maximum(red, green), blue).astype(np.uint16)
        darkest = np.minimum(np.minimum(red, green), blue)
        limit = np.uint16(min(self.saturation, 256))  # none reaches 256; so all fits 16 bits
        return _majority(255 * (brightest - darkest) >= limit * np.maximum(brightest, 1)), rejected


def _majority(mask: np.ndarray) -> np.ndarray:
    """Median of a boolean image over 3 cells along every axis; edge cells count twice."""
    count = mask.astype(np.uint8)
    for axis in range(mask.ndim):
        padded = np.moveaxis(
            np.pad(count, [(int(axis == each),) * 2 for each in range(mask.ndim)], mode="edge"), axis, 0
        )
        count = np.moveaxis(padded[:-2] + padded[1:-1] + padded[2:], 0, axis)
    return count > 3**mask.ndim // 2


def find_tissue(source: Source, longest_px: int, detector: Detector) -> TissueMap:
    """Tissue on a picture of `longest_px` along the longest side; without a pixel size a level-0 pixel is 1 um2."""
    shape = shrunk_shape(source.shape, longest_px)
    picture = ScaledSource(source, shape).read(whole(shape))
    cell_um2 = math.prod(source.spacing_um or (1.0,)) * math.prod(source.shape) / math.prod(shape)
    mask, rejected = detector.find(picture, cell_um2)
    return TissueMap(mask, picture, rejected)


def shrunk_shape(shape: tuple[int, ...], longest_px: int) -> tuple[int, ...]:
    """Shape with the same proportions whose longest side is at most `longest_px`."""
    factor = min(1.0, longest_px / max(shape))
    return tuple(max(1, round(n * factor)) for n in shape)


@dataclass(frozen=True)
class TissueRule:
    """How tissue is found, and the fraction of it that a training tile needs; with 0 every tile is kept."""

    min_fraction: float = 0.0
    detector: Detector = SaturationDetector()
    longest_px: int = 1024

    def find(self, source: Source, name: str) -> TissueMap | None:
        """Tissue of an image, or None where it does not matter; a slide without any is named in the log."""
        if not self.min_fraction:
            return None
        tissue = find_tissue(source, self.longest_px, self.detector)
        if not tissue.mask.any():
            log.warning("%s: no tissue was found; if there is some, see TILES.TISSUE or set TILES.MIN_TISSUE 0", name)
        return tissue


KEEP_ALL = TissueRule()


def build_tissue_rule(cfg: CfgNode) -> TissueRule:
    """The rule of TILES for slides; photographs and frames have no glass."""
    tiles = cfg.TILES
    fraction = tiles.MIN_TISSUE if cfg.DATASETS.LAYOUT == "slides" else 0.0
    detectors: dict[str, Callable[[], Detector]] = {
        "saturation": lambda: SaturationDetector(tiles.TISSUE_SATURATION),
        "otsu": lambda: OtsuDetector(tiles.TISSUE_MIN_PIECE_UM2, tiles.TISSUE_MAX_HOLE_UM2, tiles.TISSUE_REJECT_INK),
    }
    return TissueRule(fraction, detectors[tiles.TISSUE](), tiles.TISSUE_PX)
