"""Cases kept decoded at the network's scale: a volume is loaded once for all the patches that are cut from it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from data.cases import Case
from data.patches.cache import SampleStore
from data.patches.grid import whole
from data.patches.scale import Scale
from data.sources.labels import ScaledLabels
from data.sources.opening import CaseReader
from data.sources.source import ArraySource, ScaledSource, Source
from utils.shared import SharedBytes

log = logging.getLogger(__name__)
KEPT = 4  # cases that a process keeps decoded besides the cached ones, and whose patches an epoch mixes at a time


@dataclass(frozen=True)
class DecodedCase:
    """Image (*shape, channels) and class indices (*shape) at the network's scale; pixel size at it in um, if known."""

    image: np.ndarray
    classes: np.ndarray
    spacing_um: tuple[float, ...] | None = None


@dataclass
class Cache:
    """Room for decoded cases that all processes share, in memory or in files of a folder."""

    room_bytes: int = 0
    folder: Path | None = None

    def store(self, case: DecodedCase) -> SampleStore | None:
        """A copy of a case, or None where there is no room for it; raises OSError where the machine has none."""
        size = case.image.nbytes + case.classes.nbytes
        if size > self.room_bytes:
            return None
        try:
            shared = SharedBytes(size, self.folder)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; set SOLVER.CACHE_GB lower", error.filename) from error
        self.room_bytes -= size
        store = SampleStore(shared, case.image.shape, case.classes.shape, case.image.dtype)
        for room, values in zip(store.pair(0), (case.image, case.classes), strict=True):
            room[...] = values
        return store


class DecodedCases:
    """A reader whose images and labels are arrays at the network's scale: of the cached cases, and of the last KEPT.

    What it gives is not to be written to. Several threads may read at once.
    """

    def __init__(self, reader: CaseReader, scale: Scale, cache: Cache | None = None):
        self.reader = reader
        self.scale = scale
        self._cache = cache or Cache()
        self._stores: dict[str, tuple[SampleStore, tuple[float, ...] | None]] = {}
        self._last: dict[str, DecodedCase] = {}
        self._lock = Lock()

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their indices."""
        return self.reader.classes

    @property
    def cached(self) -> int:
        """Cases in the cache."""
        return len(self._stores)

    @contextmanager
    def open_both(self, case: Case) -> Iterator[tuple[Source, Source]]:
        """Image and labels of a case; raises what the reader raises."""
        decoded = self.decode(case)
        yield ArraySource(decoded.image, decoded.spacing_um), ArraySource(decoded.classes[..., None])

    def decode(self, case: Case) -> DecodedCase:
        """A case from the cache or from memory; from its files only if it is in neither."""
        if case.id in self._stores:
            store, spacing_um = self._stores[case.id]
            return DecodedCase(*store.pair(0), spacing_um)
        with self._lock:
            if case.id not in self._last:
                decoded = self._read(case)
                while len(self._last) >= KEPT:
                    del self._last[next(iter(self._last))]
                self._last[case.id] = decoded
            self._last[case.id] = self._last.pop(case.id)
            return self._last[case.id]

    def keep(self, case: Case) -> None:
        """Keep a case in the cache if there is room."""
        decoded = self.decode(case)
        store = self._cache.store(decoded)
        if store:
            self._stores[case.id] = store, decoded.spacing_um

    def _read(self, case: Case) -> DecodedCase:
        with self.reader.open_both(case) as (source, labels):
            shape = self.scale.shape_of(source)
            image = ScaledSource(source, shape).read(whole(shape))
            classes = ScaledLabels(labels, shape, len(self.classes)).read(whole(shape))
            return DecodedCase(image, classes, _spacing_at(source, shape))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": {}, "_lock": None}  # a worker that is spawned decodes for itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())


def _spacing_at(source: Source, shape: tuple[int, ...]) -> tuple[float, ...] | None:
    if source.spacing_um is None:
        return None
    return tuple(um * full / n for um, full, n in zip(source.spacing_um, source.shape, shape, strict=True))
