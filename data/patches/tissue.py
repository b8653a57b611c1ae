"""Where a slide holds tissue, from a small picture of it."""

from dataclasses import dataclass

import numpy as np
from yacs.config import CfgNode

from data.patches.grid import Box, scale_box, whole
from data.sources.source import ScaledSource, Source


@dataclass(frozen=True)
class TissueMap:
    """Tissue on a small picture of a slide; `mask` is boolean, in the slide's own axes."""

    mask: np.ndarray

    def fraction(self, box: Box, shape: tuple[int, ...]) -> float:
        """Share of tissue, 0 to 1, in a box of the image at `shape`."""
        inside = self.mask[scale_box(box.within(shape), shape, self.mask.shape).slices]
        return float(inside.mean()) if inside.size else 0.0


def find_tissue(source: Source, longest_px: int, saturation: int) -> TissueMap:
    """Tissue on a picture of `longest_px` along the longest side: pixels whose colour saturation reaches `saturation`.

    Saturation is 255 * (max - min) / max over the three channels, after a 3 x 3 median; an image without colour is
    tissue everywhere.
    """
    shape = shrunk_shape(source.shape, longest_px)
    if source.channels != 3:
        return TissueMap(np.ones(shape, bool))
    red, green, blue = np.moveaxis(ScaledSource(source, shape).read(whole(shape)), -1, 0)
    brightest = np.maximum(np.maximum(red, green), blue).astype(np.uint16)
    darkest = np.minimum(np.minimum(red, green), blue)
    limit = np.uint16(min(saturation, 256))  # none reaches 256; so all fits 16 bits
    return TissueMap(_majority(255 * (brightest - darkest) >= limit * np.maximum(brightest, 1)))


def _majority(mask: np.ndarray) -> np.ndarray:
    """Median of a boolean image over 3 cells along every axis; edge cells count twice."""
    count = mask.astype(np.uint8)
    for axis in range(mask.ndim):
        padded = np.moveaxis(
            np.pad(count, [(int(axis == each),) * 2 for each in range(mask.ndim)], mode="edge"), axis, 0
        )
        count = np.moveaxis(padded[:-2] + padded[1:-1] + padded[2:], 0, axis)
    return count > 3**mask.ndim // 2


def shrunk_shape(shape: tuple[int, ...], longest_px: int) -> tuple[int, ...]:
    """Shape with the same proportions whose longest side is at most `longest_px`."""
    factor = min(1.0, longest_px / max(shape))
    return tuple(max(1, round(n * factor)) for n in shape)


@dataclass(frozen=True)
class TissueRule:
    """How tissue is found, and the fraction of it that a training tile needs; with 0 every tile is kept."""

    min_fraction: float = 0.0
    saturation: int = 20
    longest_px: int = 1024

    def find(self, source: Source) -> TissueMap | None:
        """Tissue of an image, or None where it does not matter."""
        return find_tissue(source, self.longest_px, self.saturation) if self.min_fraction else None


KEEP_ALL = TissueRule()


def build_tissue_rule(cfg: CfgNode) -> TissueRule:
    """The rule of TILES for slides; photographs and frames have no glass."""
    tiles = cfg.TILES
    fraction = tiles.MIN_TISSUE if cfg.DATASETS.LAYOUT == "slides" else 0.0
    return TissueRule(fraction, tiles.TISSUE_SATURATION, tiles.TISSUE_PX)
