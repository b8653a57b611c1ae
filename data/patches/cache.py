"""Decoded samples kept for a whole run, in memory or in a file that is mapped into it, shared by all loader workers."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from data.patches.dataset import Sample, read_together
from utils.shared import GIGABYTE, SharedBytes
from utils.threads import Ahead, reader_count

log = logging.getLogger(__name__)

RUN_SAMPLES = 64  # that a thread decodes at once: all patches of a photograph, and few enough to share out a slide


@dataclass(frozen=True)
class SampleStore:
    """Images (n, *image_shape) of a `kind` and masks (n, *mask_shape) uint8, side by side in shared bytes."""

    shared: SharedBytes
    image_shape: tuple[int, ...]
    mask_shape: tuple[int, ...]
    kind: np.dtype = field(default_factory=lambda: np.dtype(np.uint8))

    def pair(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask at a place, not copied."""
        image, mask = math.prod(self.image_shape) * self.kind.itemsize, math.prod(self.mask_shape)
        start = place * (image + mask)
        values = self.shared.bytes[start : start + image + mask]
        return values[:image].view(self.kind).reshape(self.image_shape), values[image:].reshape(self.mask_shape)


@dataclass(frozen=True)
class CachedSample:
    """A sample whose pixels lie decoded in a store."""

    sample: Sample
    store: SampleStore
    place: int

    @property
    def name(self) -> str:
        """What a picture or a log calls it."""
        return self.sample.name

    @property
    def case_id(self) -> str:
        """The case that it is part of."""
        return self.sample.case_id

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and class indices, the caller's own."""
        image, mask = self.store.pair(self.place)
        return image.copy(), mask.copy()

    def read_mask(self) -> np.ndarray:
        """Class indices, the caller's own."""
        return self.store.pair(self.place)[1].copy()


def cache_samples(samples: Sequence[Sample], limit_bytes: int, folder: Path | None = None) -> list[Sample]:
    """The samples, as many of the first as `limit_bytes` have room for decoded in memory or in a file of `folder`.

    Raises what reading them raises, and OSError where there is no room. Samples of another shape than the first stay
    as they are.
    """
    if not samples:
        return []
    image, mask = samples[0].read()
    each = image.nbytes + mask.nbytes
    count = min(len(samples), limit_bytes // each)
    if count == 0:
        return list(samples)
    try:
        shared = SharedBytes(count * each, folder)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; set SOLVER.CACHE_GB lower", error.filename) from error
    store = SampleStore(shared, image.shape, mask.shape, image.dtype)
    with Ahead(
        lambda run: _fill(store, samples, run), _runs(samples[:count]), reader_count(), reader_count()
    ) as filling:
        cached = [sample for _, filled in filling for sample in filled.result()]
    return [*cached, *samples[count:]]


def _runs(samples: Sequence[Sample]) -> Iterator[range]:
    """Places of samples that follow each other in one case, at most RUN_SAMPLES together."""
    start = 0
    for place in range(1, len(samples) + 1):
        is_end = place == len(samples) or samples[place].case_id != samples[start].case_id
        if is_end or place - start == RUN_SAMPLES:
            yield range(start, place)
            start = place


def _fill(store: SampleStore, samples: Sequence[Sample], places: range) -> list[Sample]:
    """Decode the samples at some places into the store."""
    cached: list[Sample] = []
    for place, pair in zip(places, read_together([samples[place] for place in places]), strict=True):
        room = store.pair(place)
        fits = [values.shape for values in pair] == [values.shape for values in room]
        for values, target in zip(pair, room, strict=True):
            if fits:
                target[...] = values
        cached.append(CachedSample(samples[place], store, place) if fits else samples[place])
    return cached


def build_cache(cfg: CfgNode, samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples, decoded once if SOLVER.CACHE says so."""
    if cfg.SOLVER.CACHE == "none":
        return samples
    folder = Path(cfg.OUTPUT_DIR) if cfg.SOLVER.CACHE == "disk" else None
    cached = cache_samples(samples, int(cfg.SOLVER.CACHE_GB * GIGABYTE), folder)
    count = sum(isinstance(sample, CachedSample) for sample in cached)
    log.info("%d of %d patches are kept decoded (SOLVER.CACHE %s)", count, len(cached), cfg.SOLVER.CACHE)
    return cached
