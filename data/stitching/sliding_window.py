"""The one inference loop: patches go through a network and come back as a probability map.

Threads read the next patches, others run the network, and the main one blends, so that the network need not wait.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice

import numpy as np

from data.patches.grid import Box, Grid
from data.patches.plan import Plan
from data.sources.source import ScaledSource, Source
from data.stitching.probability_map import ProbabilityMap
from data.stitching.stitcher import Slope, Stitcher, linear
from utils.memory import kept_memory
from utils.threads import Ahead, reader_count

Predict = Callable[[np.ndarray], np.ndarray]  # (N, C, *patch) pixels -> (N, K, *patch) float32 probabilities
Track = Callable[[Iterable, str, int], Iterator]


class PatchReader(Ahead[list[Box], np.ndarray]):
    """Reads the patches of a plan at its scale, in batches (N, C, *patch) of one size each; begins at once."""

    def __init__(self, source: Source, plan: Plan | Grid, batch_size: int):
        self.plan = plan
        self.view = ScaledSource(source, plan.shape)
        batches = [batch for _, same in groupby(plan, lambda box: box.size) for batch in _batches(same, batch_size)]
        self.count = len(batches)
        super().__init__(self._read, batches, threads=reader_count(), ahead=reader_count() + 1)

    def _read(self, batch: list[Box]) -> np.ndarray:
        return np.moveaxis(np.stack([self.view.read(box) for box in batch]), -1, 1)


def _batches(boxes: Iterable[Box], size: int) -> Iterator[list[Box]]:
    remaining = iter(boxes)
    while batch := list(islice(remaining, size)):
        yield batch


def predict_map(
    reader: PatchReader, predict: Predict, target: ProbabilityMap, track: Track | None = None, slope: Slope = linear
) -> None:
    """Predict the patches that `reader` gives and store the probabilities, blended by `slope`, in `target`.

    The shape of its plan is the image's at the network's scale. What no patch covers counts as unpredicted, not as
    zero. A network with an attribute `at_once` computes so many batches side by side.
    """
    plan, at_once = reader.plan, getattr(predict, "at_once", 1)
    depth = max((box.size[0] for box in plan), default=1)
    stitcher = Stitcher(plan.shape, len(target.frame.classes), depth, plan.overlap_px, target.write, slope)
    ahead = Ahead(lambda batch: predict(batch[1].result()), reader, at_once, ahead=at_once + 1)
    with kept_memory(), ahead as predicted:
        for (boxes, _), probabilities in track(predicted, "patches", reader.count) if track else predicted:
            for box, own in zip(boxes, probabilities.result(), strict=True):
                stitcher.add(box, own)
    stitcher.finish()
    target.flush()
