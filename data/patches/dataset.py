"""Samples to learn from, as tensors: tiles on disk, or patches read from the images of pairs."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from data.cases import Case
from data.patches.cutmix import draw_box, paste
from data.patches.grid import Box, Grid, whole
from data.patches.scale import Scale
from data.patches.soft import as_fractions, soft_target
from data.patches.statistics import PixelStatistics
from data.patches.tiles import load_image, load_mask, padded_mask
from data.sources.kept_open import KeptOpen
from data.sources.labels import IGNORE, ScaledLabels
from data.sources.opening import CaseReader
from data.sources.source import ScaledSource, Source, SourceError
from utils.preparation import Preparation

if TYPE_CHECKING:
    from data.patches.decoded import DecodedCases

CUTMIX = 1  # what tells its draws from others of the same sample
Transform = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


class Sample(Protocol):
    """One patch of a case with its mask."""

    @property
    def name(self) -> str:
        """What a picture or a log calls it."""

    @property
    def case_id(self) -> str:
        """The case that it is part of."""

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Image (*spatial, channels) uint8, or float32 of 0 to 255, and class indices (*spatial) uint8."""

    def read_mask(self) -> np.ndarray:
        """The class indices alone."""


Read = Callable[[Sample, Sequence[int]], tuple[np.ndarray, np.ndarray]]  # a sample as the numbers of a draw decide


class Order(Protocol):
    """Which samples an epoch draws, and how many."""

    @property
    def count(self) -> int:
        """Draws of an epoch."""

    @property
    def favoured(self) -> np.ndarray:
        """Weight of each sample in the draws that are not alike for all."""

    def order(self, chance: np.random.Generator) -> list[int]:
        """Places of the samples; the n-th repetition of one is place + n * samples."""


@dataclass(frozen=True)
class TileSample:
    """A pair of tiles on disk."""

    name: str
    case_id: str
    image: Path
    mask: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and class indices; raises SourceError naming the file that cannot be read."""
        try:
            return load_image(self.image), load_mask(self.mask)
        except OSError as error:
            raise SourceError(f"tile {self.name} cannot be read: {error}") from error

    def read_mask(self) -> np.ndarray:
        """Class indices; raises SourceError naming the file that cannot be read."""
        try:
            return load_mask(self.mask)
        except OSError as error:
            raise SourceError(f"tile {self.name} cannot be read: {error}") from error


@dataclass(frozen=True)
class PatchSample:
    """A box at the network's scale of a case that is read where it lies."""

    name: str
    case: Case
    box: Box
    shape: tuple[int, ...]
    reader: "CaseReader | KeptOpen | DecodedCases"

    @property
    def case_id(self) -> str:
        """The case that it is part of."""
        return self.case.id

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and class indices; raises SourceError or RleError."""
        with self.reader.open_both(self.case) as (source, labels):
            return self.cut(source, labels)

    def read_mask(self) -> np.ndarray:
        """Class indices; raises SourceError or RleError."""
        with self.reader.open_both(self.case) as (_, labels):
            return self.cut_mask(labels)

    def cut(self, source: Source, labels: Source) -> tuple[np.ndarray, np.ndarray]:
        """Image and class indices from the opened image and labels of the case."""
        return ScaledSource(source, self.shape).read(self.box), self.cut_mask(labels)

    def cut_mask(self, labels: Source) -> np.ndarray:
        """Class indices from the opened labels of the case."""
        return padded_mask(ScaledLabels(labels, self.shape, len(self.reader.classes)), self.box)


def read_whole(sample: Sample, draw: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Image and class indices of a sample as it lies, whatever was drawn."""
    return sample.read()


def read_together(samples: Sequence[Sample]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Image and class indices of samples of one case, whose image is opened once if they are patches of it."""
    patches = [sample for sample in samples if isinstance(sample, PatchSample)]
    if not patches or len(patches) < len(samples):
        yield from (sample.read() for sample in samples)
        return
    with patches[0].reader.open_both(patches[0].case) as (source, labels):
        yield from (sample.cut(source, labels) for sample in patches)


def list_patches(
    case: Case, reader: CaseReader, scale: Scale, size: int, overlap_px: int, statistics: PixelStatistics
) -> tuple[list[PatchSample], float]:
    """Patches of a grid over one case, whose pixels are added to `statistics`, and its foreground in their pixels.

    Image and labels are read whole once, so that a damaged one raises SourceError or RleError here.
    """
    with reader.open_both(case) as (source, labels):
        shape = scale.shape_of(source)
        classes = labels.read(whole(labels.shape))
        statistics.add_pixels(ScaledSource(source, shape).read(whole(shape)))
    grid = Grid(shape, (size,) * len(shape), (overlap_px,) * len(shape))
    foreground = float(((classes > 0) & (classes != IGNORE)).mean()) * math.prod(shape)
    return [PatchSample(f"{case.id}_{number}", case, box, shape, reader) for number, box in enumerate(grid)], foreground


class PatchDataset:
    """Samples as (image, target) tensors, augmented if `transform` is given, then prepared as a network sees them.

    With the probability `cutmix` a sample gets a box of another one, augmented like it, with the labels there. Image
    (C, *) float32; target (K, *) uint8, one channel a class with 0, 1 and IGNORE. What an epoch draws depends on seed,
    epoch and place alone, so that any number of workers gives the same. Without `sampling` it draws each sample once.
    `read` gives image and class indices of a sample; a crop of it may depend on the numbers of the draw. If `soft`,
    masks may be fractions of the classes, and targets are float32, 0 to 1 and IGNORE.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        mean: Sequence[float],
        std: Sequence[float],
        classes: int,
        transform: Transform | None = None,
        seed: int = 0,
        cutmix: float = 0.0,
        sampling: Order | None = None,
        read: Read = read_whole,
        soft: bool = False,
        diffusion: Sequence[float] = (),
    ):
        self.samples = samples
        self.prepare = Preparation(mean, std, diffusion)
        self.classes = classes
        self.transform = transform
        self.seed = seed
        self.cutmix = cutmix
        self.sampling = sampling
        self.read = read
        self.soft = soft
        self.epoch = 0

    @property
    def fingerprint(self) -> str:
        """What an epoch draws from, in short: equal for equal seeds, normalisations, names and weights of samples."""
        mean, std = self.prepare.mean.tolist(), self.prepare.std.tolist()
        content = [self.seed, mean, std, [sample.name for sample in self.samples]]
        if self.sampling:
            content.append(self.sampling.favoured.tolist())
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def __len__(self) -> int:
        return self.sampling.count if self.sampling else len(self.samples)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self._pair(place, [self.seed, self.epoch, place])
        if self.cutmix:
            image, mask = self._mixed((image, mask), [self.seed, self.epoch, place, CUTMIX])
        return self._image_tensor(image), soft_target(mask) if self.soft else one_hot(mask, self.classes)

    def _pair(self, place: int, draw: list[int]) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.read(self.samples[place % len(self.samples)], draw)
        if self.transform:
            image, mask = self.transform(image, mask, int(np.random.SeedSequence(draw).generate_state(1)[0]))
        return image, as_fractions(mask, self.classes, image.ndim - 1) if self.soft else mask

    def _mixed(self, pair: tuple[np.ndarray, np.ndarray], draw: list[int]) -> tuple[np.ndarray, np.ndarray]:
        chance = np.random.default_rng(draw)
        if chance.random() >= self.cutmix:
            return pair
        box = draw_box(pair[0].shape[:-1], chance)
        return paste(pair, self._pair(int(chance.integers(len(self.samples))), draw), box)

    def _image_tensor(self, image: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, 0)))
        return self.prepare(pixels[None])[0]


def one_hot(mask: np.ndarray, classes: int) -> torch.Tensor:
    """Target (K, *) uint8 of class indices 0..K and IGNORE: 0, 1 and IGNORE in one channel a class."""
    channels = [np.where(mask == IGNORE, IGNORE, mask == number).astype(np.uint8) for number in range(1, classes + 1)]
    return torch.from_numpy(np.stack(channels))
