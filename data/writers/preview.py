"""A small picture of a mask: a PNG whose values are class indices, shown in the colours of the classes."""

from pathlib import Path

from data.patches.grid import whole
from data.patches.tiles import save_mask
from data.patches.tissue import shrunk_shape
from data.stitching.mask import MaskView, Threshold
from data.stitching.probability_map import ProbabilityMap
from utils.atomic import atomic_path


def write_preview(path: Path, probabilities: ProbabilityMap, threshold: Threshold, longest_px: int) -> None:
    """Write the mask of the whole image, shrunk to at most `longest_px` along a side."""
    shape = shrunk_shape(probabilities.frame.shape_level0, longest_px)
    mask = MaskView(probabilities.on_image(shape), threshold).read(whole(shape))
    with atomic_path(path) as draft:
        save_mask(draft, mask)
