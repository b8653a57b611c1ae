"""Predicting cases: from images to probability maps on disk."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from yacs.config import CfgNode

from data.cases import Case
from data.patches.grid import Grid, Windows
from data.patches.plan import Plan, plan_patches
from data.patches.scale import Scale
from data.patches.tissue import KEEP_ALL, TissueMap, TissueRule, build_tissue_rule
from data.sources.levels import ensure_level
from data.sources.opening import CaseReader
from data.sources.source import Source
from data.stitching.by_slice import SliceBySlice, slice_grid
from data.stitching.probability_map import ProbabilityMap, create_map, frame_of, open_map
from data.stitching.sliding_window import PatchReader, Predict, Track, predict_map
from data.stitching.stitcher import SLOPES, Slope, linear
from utils.atomic import atomic_path
from utils.threads import Ahead

log = logging.getLogger(__name__)

RIM_PX = 16  # predicted around tissue, whose outline on a small picture is rough


@dataclass(frozen=True)
class Inference:
    """How images are predicted: scale, largest side and overlap of the patches in pixels, and where glass is.

    With `windows` these are the patches, on tissue or not. `slope` blends them. An image of more than the network's
    `axes`, where these are known, is predicted slice by slice.
    """

    scale: Scale
    patch_px: int
    overlap_px: int
    batch_size: int
    tissue: TissueRule = KEEP_ALL
    windows: Windows | None = None
    slope: Slope = linear
    axes: int = 0

    def plan(self, source: Source, tissue: TissueMap | None) -> Plan | Grid:
        """The patches of an image, over its tissue where glass is to be skipped."""
        shape = self.scale.shape_of(source)
        if self.by_slice(shape):
            return slice_grid(shape, self.patch_px, self.overlap_px)
        if self.windows:
            return self.windows.over(shape)
        occupied = None if tissue is None else tissue.mask
        return plan_patches(shape, self.patch_px, self.overlap_px, occupied, RIM_PX)

    def by_slice(self, shape: tuple[int, ...]) -> bool:
        """Whether an image of this shape is predicted slice by slice."""
        return 0 < self.axes < len(shape)


def build_inference(cfg: CfgNode, scale: Scale, trained: tuple[int, ...] = ()) -> Inference:
    """Inference as TEST says, at the scale of the weights; glass is skipped where training dropped it.

    `trained` are the sides of the patches of volumes that the networks learnt from, if the weights say so.
    """
    test = cfg.TEST
    tissue, slope = build_tissue_rule(cfg), SLOPES[test.BLEND]
    windows, axes = build_windows(cfg, trained), cfg.MODEL.AXES
    return Inference(scale, test.PATCH, test.OVERLAP, test.BATCH_SIZE, tissue, windows, slope, axes)


def build_windows(cfg: CfgNode, trained: tuple[int, ...] = ()) -> Windows | None:
    """The windows of TEST.PATCHES, for volumes else those of training; None where patches are fitted to the image."""
    test = cfg.TEST
    if cfg.MODEL.AXES == 2 and not test.PATCHES:
        return None
    return Windows(tuple(test.PATCHES or trained or cfg.INPUT.PATCH), tuple(test.OVERLAPS), test.OVERLAP_SHARE)


class OpenedCase:
    """A case whose image is open, whose patches are planned and whose first ones are being read."""

    def __init__(self, case: Case, reader: CaseReader, inference: Inference, scratch: Path):
        with ExitStack() as opening:
            image = opening.enter_context(reader.open_image(case))
            source = opening.enter_context(ensure_level(image, inference.scale.shape_of(image), scratch))
            doubt = inference.scale.doubt_about(image)
            if doubt:
                log.warning("%s: %s", case.id, doubt)
            self.frame, self.slope = frame_of(image, reader.classes), inference.slope
            self.tissue = inference.tissue.find(source, case.id)
            self.plan = inference.plan(source, self.tissue)
            self.by_slice = inference.by_slice(self.plan.shape)
            self.patches = opening.enter_context(PatchReader(source, self.plan, inference.batch_size))
            self._open = opening.pop_all()

    def predict(self, predict: Predict, path: Path, track: Track | None = None) -> ProbabilityMap:
        """The case's probability map, kept at `path`, which appears only once it is whole."""
        predict = SliceBySlice(predict) if self.by_slice else predict
        with atomic_path(path) as draft:
            predict_map(self.patches, predict, create_map(draft, self.plan.shape, self.frame), track, self.slope)
        return open_map(path)

    def close(self) -> None:
        """Stop reading and release the files."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def predict_case(
    case: Case, reader: CaseReader, inference: Inference, predict: Predict, path: Path, track: Track | None = None
) -> ProbabilityMap:
    """Predict one case and keep its probability map at `path`."""
    with OpenedCase(case, reader, inference, path.parent) as opened:
        return opened.predict(predict, path, track)


def open_cases(
    cases: Sequence[Case], reader: CaseReader, inference: Inference, scratch: Path
) -> Iterator[tuple[Case, Callable[[], OpenedCase]]]:
    """Each case with a call that gives it opened, or raises what went wrong; the next one is opened meanwhile."""
    with Ahead(
        lambda case: OpenedCase(case, reader, inference, scratch), cases, discard=lambda unused: unused.close()
    ) as opening:
        for case, opened in opening:
            yield case, opened.result
