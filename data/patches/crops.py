"""Random crops of slides and photographs, read where they lie: no tiles on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from data.cases import Case
from data.patches.dataset import PatchSample, Sample
from data.patches.grid import Box, Grid
from data.patches.sampling import Content, measure
from data.patches.statistics import PixelStatistics
from data.patches.tiles import TileFolder, padded_mask
from data.sources.kept_open import KeptOpen
from data.sources.labels import ScaledLabels
from data.sources.opening import CaseReader
from data.sources.source import ScaledSource
from utils.threads import Ahead, reader_count

CROP = 3  # what tells its draws from others of the same sample
TRIES = 4  # crops that are drawn about foreground until one holds some


@dataclass(frozen=True)
class CropSample(PatchSample):
    """A patch of a grid that a crop is drawn about, its centre moved by at most `reach_px` along each axis."""

    reach_px: tuple[float, ...] = ()
    content: Content = field(default_factory=Content)

    def crop(self, scale_jitter: float, chance: np.random.Generator) -> "CropSample":
        """A patch near this one, seen up to 1 + `scale_jitter` times larger or smaller; it lies inside if it can."""
        zoom = (1 + scale_jitter) ** chance.uniform(-1, 1)
        shape = tuple(max(1, round(n * zoom)) for n in self.shape)
        starts = []
        for start, size, far, n_from, n_to in zip(
            self.box.start, self.box.size, self.reach_px, self.shape, shape, strict=True
        ):
            centre = (start + size / 2 + chance.uniform(-far, far)) * n_to / n_from
            starts.append(min(max(round(centre - size / 2), 0), max(n_to - size, 0)))
        return replace(self, box=Box(tuple(starts), self.box.size), shape=shape)


@dataclass(frozen=True)
class Cropping:
    """Reads a crop about a sample as a draw decides; about foreground it is drawn a few times until it holds some."""

    scale_jitter: float = 0.0

    def __call__(self, sample: Sample, draw: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Image and class indices; raises SourceError or RleError."""
        assert isinstance(sample, CropSample)
        chance = np.random.default_rng([*draw, CROP])
        crop = sample.crop(self.scale_jitter, chance)
        for _ in range(TRIES - 1):
            if not sample.content.area or measure(crop.read_mask()).area:
                break
            crop = sample.crop(self.scale_jitter, chance)
        return crop.read()


def list_crops(
    case: Case, reader: CaseReader, opened: KeptOpen, folder: TileFolder, statistics: PixelStatistics
) -> tuple[list[CropSample], float | None]:
    """Patches of a case that would be kept as tiles, and their pixel size in um, if known.

    Their pixels are added to `statistics` once the whole case is read, so that a case that fails adds nothing.
    """
    own, threads, samples = PixelStatistics(), reader_count(), []
    with reader.open_both(case) as (source, labels):
        shape = folder.scale.shape_of(source)
        spacing_um = max(source.spacing_um) * source.shape[0] / shape[0] if source.spacing_um else None
        view = _View(ScaledSource(source, shape), ScaledLabels(labels, shape, len(reader.classes)), folder, case.id)
        patches, reach_px = chain(*folder.grids(shape)), reach(folder, shape)
        with Ahead(view.read, patches, threads, ahead=threads + 1) as read:
            for (number, box), result in read:
                content, pixels = result.result()
                if pixels is not None:
                    own.add_pixels(pixels)
                    samples.append(CropSample(f"{case.id}_{number}", case, box, shape, opened, reach_px, content))
    statistics.add(own)
    return samples, spacing_um


class _View:
    """An opened case at the network's scale: what its patches hold, and the pixels of those that are kept."""

    def __init__(self, image: ScaledSource, labels: ScaledLabels, folder: TileFolder, case_id: str):
        self.image = image
        self.labels = labels
        self.rule = folder.tissue
        self.tissue = folder.tissue.find(image.source, case_id)

    def read(self, patch: tuple[int, Box]) -> tuple[Content, np.ndarray | None]:
        _, box = patch
        content = measure(padded_mask(self.labels, box))
        has_tissue = self.tissue is None or self.tissue.fraction(box, self.image.shape) >= self.rule.min_fraction
        return content, self.image.read(box) if has_tissue or content.area else None


def reach(folder: TileFolder, shape: tuple[int, ...]) -> tuple[float, ...]:
    """Half of the way from a patch of the grid to the next, along each axis."""
    grid = Grid(shape, (folder.size,) * len(shape), (folder.overlap_px,) * len(shape))
    axes = [grid.starts(axis) for axis in range(len(shape))]
    return tuple(starts[-1] / max(len(starts) - 1, 1) / 2 for starts in axes)
