"""Predicting one case: from its image to a probability map on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Box, Grid
from data.patches.scale import Scale
from data.patches.tissue import KEEP_ALL, TissueRule, build_tissue_rule
from data.sources.opening import CaseReader
from data.sources.source import Source
from data.stitching.probability_map import ProbabilityMap, create_map, frame_of, open_map
from data.stitching.sliding_window import Predict, Track, predict_map
from utils.atomic import atomic_path


@dataclass(frozen=True)
class Inference:
    """How images are predicted: scale, side and overlap of the patches in pixels, and where glass is."""

    scale: Scale
    patch_px: int
    overlap_px: int
    batch_size: int
    tissue: TissueRule = KEEP_ALL

    def grid(self, source: Source) -> Grid:
        """The patches of an image; along a side shorter than a patch, the patch shrinks to a multiple of 32."""
        shape = self.scale.shape_of(source)
        patch = tuple(min(self.patch_px, -(-n // 32) * 32) for n in shape)
        return Grid(shape, patch, tuple(min(self.overlap_px, side // 2) for side in patch))

    def holds_tissue(self, source: Source, grid: Grid) -> Callable[[Box], bool] | None:
        """Whether a patch holds any tissue; None where glass is not to be skipped."""
        tissue = self.tissue.find(source)
        return None if tissue is None else lambda box: tissue.fraction(box, grid.shape) > 0


def build_inference(cfg: CfgNode, scale: Scale) -> Inference:
    """Inference as TEST says, at the scale of the weights; glass is skipped where training dropped it."""
    test = cfg.TEST
    return Inference(scale, test.PATCH, test.OVERLAP, test.BATCH_SIZE, build_tissue_rule(cfg))


def predict_case(
    case: Case, reader: CaseReader, inference: Inference, predict: Predict, path: Path, track: Track | None = None
) -> ProbabilityMap:
    """Predict a case and keep its probability map at `path`, which appears only once it is whole."""
    with reader.open_image(case) as source, atomic_path(path) as draft:
        grid = inference.grid(source)
        keep = inference.holds_tissue(source, grid)
        target = create_map(draft, grid.shape, frame_of(source, reader.classes))
        predict_map(source, grid, predict, target, batch_size=inference.batch_size, keep=keep, track=track)
    return open_map(path)
