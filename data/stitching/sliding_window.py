"""The one inference loop: patches of a grid go through a network and come back as a probability map."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from data.patches.grid import Box, Grid
from data.sources.source import ScaledSource, Source
from data.stitching.probability_map import ProbabilityMap
from data.stitching.stitcher import Stitcher

Predict = Callable[[np.ndarray], np.ndarray]  # (N, C, *patch) uint8 -> (N, K, *patch) float32 probabilities
Track = Callable[[Iterable, str, int], Iterator]


def predict_map(
    source: Source,
    grid: Grid,
    predict: Predict,
    target: ProbabilityMap,
    *,
    batch_size: int = 2,
    keep: Callable[[Box], bool] | None = None,
    track: Track | None = None,
) -> None:
    """Predict the patches of `grid` that `keep` lets through and store the blended probabilities in `target`.

    `grid.shape` is the image's shape at the network's scale. A patch that is left out counts as unpredicted, not as
    zero. The next batch is read while the network works.
    """
    boxes = [box for box in grid if keep is None or keep(box)]
    view = ScaledSource(source, grid.shape)
    stitcher = Stitcher(grid.shape, len(target.frame.classes), grid.patch, grid.overlap_px, target.write)
    batches = list(_batches(boxes, batch_size))
    steps = zip(batches, _read_ahead(view, batches), strict=True)
    for batch, patches in track(steps, "patches", len(batches)) if track else steps:
        for box, probabilities in zip(batch, predict(patches), strict=True):
            stitcher.add(box, probabilities)
    stitcher.finish()


def _batches(boxes: list[Box], size: int) -> Iterator[list[Box]]:
    remaining = iter(boxes)
    while batch := list(islice(remaining, size)):
        yield batch


def _read_ahead(view: ScaledSource, batches: list[list[Box]]) -> Iterator[np.ndarray]:
    """Patches (N, C, *patch) of each batch, read in a thread one batch ahead."""

    def read(batch: list[Box]) -> np.ndarray:
        return np.stack([np.moveaxis(view.read(box), -1, 0) for box in batch])

    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = None
        for batch in batches:
            coming = reader.submit(read, batch)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
