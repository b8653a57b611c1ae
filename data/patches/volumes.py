"""Patches of volumes: the whole of each, those of a grid over it, or its slices."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from data.cases import Case
from data.patches.dataset import PatchSample
from data.patches.decoded import Cache, DecodedCase, DecodedCases
from data.patches.grid import Box, Grid
from data.patches.scale import build_scale
from data.patches.slices import SliceSample
from data.patches.statistics import PixelStatistics
from data.patches.training_set import TrainingSet
from data.sources.labels import IGNORE
from data.sources.opening import build_reader
from data.volume_cases import VOLUME_AXES
from utils.failures import Failures
from utils.progress import track
from utils.shared import GIGABYTE

log = logging.getLogger(__name__)
MULTIPLE = 8  # of the sides of whole volumes: most networks of volumes halve them three times


def measure_volume(case: Case, reader: DecodedCases, statistics: PixelStatistics) -> tuple[DecodedCase, float]:
    """A decoded case, whose pixels are added to `statistics`, and its foreground in pixels of the network's image.

    A damaged one raises SourceError or RleError here.
    """
    decoded = reader.decode(case)
    statistics.add_pixels(decoded.image)
    reader.keep(case)
    return decoded, float(((decoded.classes > 0) & (decoded.classes != IGNORE)).sum())


def cut_volume(
    case: Case,
    shape: tuple[int, ...],
    boxes: Sequence[Box],
    reader: DecodedCases,
    kind: type[PatchSample] = PatchSample,
) -> list[PatchSample]:
    """The patches of a case in these boxes, numbered in order."""
    return [kind(f"{case.id}_{number}", case, box, shape, reader) for number, box in enumerate(boxes)]


def centred_box(shape: tuple[int, ...], size: tuple[int, ...]) -> Box:
    """The box of `size` at the centre of an image; where it is larger than that, it reaches past it on both sides."""
    return Box(tuple((n - wide) // 2 for n, wide in zip(shape, size, strict=True)), size)


def common_size(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The size that holds images of these shapes, its sides rounded up to MULTIPLE."""
    return tuple(MULTIPLE * math.ceil(max(sides) / MULTIPLE) for sides in zip(*shapes, strict=True))


def build_boxes(cfg: CfgNode, shapes: Sequence[tuple[int, ...]]) -> list[list[Box]]:
    """The patches of images of these shapes: one about the centre of each, of one size for all, or those of a grid."""
    if cfg.INPUT.FROM == "slices":
        side = cfg.INPUT.SIZE_TRAIN
        return [list(Grid(shape, (1, side, side), (0, cfg.TILES.OVERLAP, cfg.TILES.OVERLAP))) for shape in shapes]
    size, overlap = tuple(cfg.INPUT.PATCH), (cfg.TILES.OVERLAP,) * VOLUME_AXES
    if cfg.INPUT.FROM == "whole":
        return [[centred_box(shape, size or common_size(shapes))] for shape in shapes]
    return [list(Grid(shape, size, overlap)) for shape in shapes]


def build_decoded(cfg: CfgNode) -> DecodedCases:
    """The reader of a config's cases that keeps them decoded, in a cache if SOLVER.CACHE says so."""
    room = 0 if cfg.SOLVER.CACHE == "none" else int(cfg.SOLVER.CACHE_GB * GIGABYTE)
    folder = Path(cfg.OUTPUT_DIR) if cfg.SOLVER.CACHE == "disk" else None
    return DecodedCases(build_reader(cfg), build_scale(cfg), Cache(room, folder))


def build_volumes(cfg: CfgNode, cases: Sequence[Case], failures: Failures) -> TrainingSet:
    """Patches of the volumes; a case that cannot be used becomes a failure.

    Those that INPUT.FROM 'crops' validates on are of a grid.
    """
    reader, statistics = build_decoded(cfg), PixelStatistics()
    usable: list[Case] = []
    shapes: list[tuple[int, ...]] = []
    foreground: dict[str, float] = {}
    for case in track(cases, "cases", len(cases)):
        with failures.guard(case.id, case.image.name):
            decoded, foreground[case.id] = measure_volume(case, reader, statistics)
            usable.append(case)
            shapes.append(decoded.classes.shape)
    if cfg.SOLVER.CACHE != "none":
        log.info("%d of %d volumes are kept decoded (SOLVER.CACHE %s)", reader.cached, len(usable), cfg.SOLVER.CACHE)
    cut = zip(usable, shapes, build_boxes(cfg, shapes), strict=True)
    kind = SliceSample if cfg.INPUT.FROM == "slices" else PatchSample
    samples = [sample for case, shape, boxes in cut for sample in cut_volume(case, shape, boxes, reader, kind)]
    spacing_um = cfg.TILES.SPACING_UM or None
    return TrainingSet(samples, statistics.mean, statistics.std, spacing_um, frozenset(foreground), foreground)
