"""Which patches an epoch draws: all alike, or some more often for the objects that they hold."""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from yacs.config import CfgNode

from data.patches.dataset import Sample
from data.sources.labels import IGNORE
from utils.threads import Ahead, reader_count

log = logging.getLogger(__name__)
LEAST_PART = 1 / 16  # of a patch; what its border cuts off smaller may be the tip of anything


@dataclass(frozen=True)
class Content:
    """Foreground of a patch in pixels, and the areas of its objects, without tips of what its border cuts."""

    area: int = 0
    objects: tuple[int, ...] = ()


def measure(mask: np.ndarray) -> Content:
    """Content of class indices of any number of axes, 0..K and IGNORE; objects of a class touch along sides."""
    is_object = (mask > 0) & (mask != IGNORE)
    areas = [area for number in np.unique(mask[is_object]) for area in _areas(mask == number)]
    return Content(int(is_object.sum()), tuple(areas))


def _areas(mask: np.ndarray) -> list[int]:
    labels, count = ndimage.label(mask)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    borders = [np.take(labels, side, axis) for axis in range(mask.ndim) for side in (0, -1)]
    cut = np.unique(np.concatenate([border.ravel() for border in borders]))
    areas[cut[areas[cut] < LEAST_PART * mask.size]] = 0
    return [int(area) for area in areas[1:] if area]


def by_foreground(contents: Sequence[Content]) -> np.ndarray:
    """1 for a patch with foreground, 0 for one without."""
    return np.array([float(content.area > 0) for content in contents])


def by_object_size(contents: Sequence[Content]) -> np.ndarray:
    """Weights that make sizes alike: an octave of sizes, 2**n to 2**(n + 1) pixels, has the square root of its objects.

    Between no change and equal shares, with which a set of few objects would be drawn mostly for its rarest ones.
    """
    octaves = [[int(math.log2(area)) for area in content.objects] for content in contents]
    count = Counter(itertools.chain(*octaves))
    return np.array([sum(count[octave] ** -0.5 for octave in own) for own in octaves])


def by_area(contents: Sequence[Content]) -> np.ndarray:
    """The foreground in pixels."""
    return np.array([float(content.area) for content in contents])


SAMPLINGS: dict[str, Callable[[Sequence[Content]], np.ndarray]] = {
    "all": lambda contents: np.ones(len(contents)),
    "foreground": by_foreground,
    "object_size": by_object_size,
    "area": by_area,
}
BY_SLICE = "slices"  # the kind of data/patches/slice_order.py
MEASURING = {*SAMPLINGS, BY_SLICE} - {"all"}  # kinds of sampling that ask for contents


@dataclass(frozen=True)
class Sampling:
    """How an epoch of `count` patches is drawn: a `share` of every batch by `favoured` weights, others by `others`."""

    favoured: np.ndarray
    others: np.ndarray
    share: float
    count: int

    def order(self, chance: np.random.Generator) -> list[int]:
        """Places of the patches in the order of the epoch; the n-th repetition of one is place + n * patches."""
        due = np.floor(np.arange(self.count + 1) * self.share + 1e-9)  # favoured ones that have come by then
        is_favoured = np.diff(due) > 0
        places = np.empty(self.count, np.int64)
        for chosen, weights in ((is_favoured, self.favoured), (~is_favoured, self.others)):
            if chosen.any():
                places[chosen] = draw_evenly(weights, int(chosen.sum()), chance)
        return tell_apart(places, len(self.favoured))


@dataclass(frozen=True)
class Mixture:
    """How an epoch is drawn from labelled patches and, evenly spread among them, from those after them, pseudo ones."""

    labelled: Sampling
    pseudo: Sampling

    @property
    def count(self) -> int:
        """Draws of an epoch."""
        return self.labelled.count + self.pseudo.count

    @property
    def favoured(self) -> np.ndarray:
        """Weight of each patch in the draws that are not alike for all."""
        return np.concatenate([self.labelled.favoured, self.pseudo.favoured])

    def order(self, chance: np.random.Generator) -> list[int]:
        """Places of the patches in the order of the epoch; the n-th repetition of one is place + n * patches."""
        is_pseudo = np.diff(np.arange(self.count + 1) * self.pseudo.count // self.count) > 0
        first, patches = len(self.labelled.favoured), len(self.favoured)
        places = np.empty(self.count, np.int64)
        places[~is_pseudo] = np.array(self.labelled.order(chance), np.int64) % first
        places[is_pseudo] = first + np.array(self.pseudo.order(chance), np.int64) % (patches - first)
        return tell_apart(places, patches)


def draw_evenly(weights: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    """`count` places in random order, each as often as its weight asks, up to the next lower or higher whole number."""
    places = chance.permutation(np.flatnonzero(weights > 0))
    ends = np.cumsum(weights[places])
    ends *= count / ends[-1]
    ends[-1] = count
    times = np.diff(np.floor(ends + chance.random()), prepend=0.0).astype(np.int64)
    return chance.permutation(np.repeat(places, times))


def tell_apart(places: np.ndarray, patches: int) -> list[int]:
    """Places of patches, of which the n-th repetition of one becomes place + n * patches."""
    seen: Counter[int] = Counter()
    apart = []
    for place in places.tolist():
        apart.append(place + patches * seen[place])
        seen[place] += 1
    return apart


def build_contents(cfg: CfgNode, samples: Sequence[Sample]) -> dict[str, Content]:
    """Content of each sample by its name, where SOLVER.SAMPLING asks for it."""
    if cfg.SOLVER.SAMPLING not in MEASURING:
        return {}
    threads = reader_count()
    with Ahead(lambda sample: measure(sample.read_mask()), samples, threads, ahead=2 * threads) as measured:
        return {sample.name: content.result() for sample, content in measured}


def build_sampling(cfg: CfgNode, contents: Sequence[Content]) -> Sampling | None:
    """How the patches of these contents are drawn, or None for each once an epoch in a random order."""
    count = cfg.SOLVER.EPOCH_PATCHES or len(contents)
    if cfg.SOLVER.SAMPLING == "all" and count == len(contents):
        return None
    return build_part(cfg, contents, count)


def build_mixture(cfg: CfgNode, contents: Sequence[Content], pseudo: Sequence[Content]) -> Sampling | Mixture | None:
    """How labelled patches and `pseudo` ones behind are drawn: SOLVER.PSEUDO_SHARE of an epoch of the same length."""
    if not pseudo:
        return build_sampling(cfg, contents)
    count = cfg.SOLVER.EPOCH_PATCHES or len(contents)
    part = round(count * cfg.SOLVER.PSEUDO_SHARE)
    return Mixture(build_part(cfg, contents, count - part), build_part(cfg, pseudo, part))


def build_part(cfg: CfgNode, contents: Sequence[Content], count: int) -> Sampling:
    """How `count` patches of these contents are drawn in an epoch."""
    name = cfg.SOLVER.SAMPLING
    share = 0.0 if name == "all" else cfg.SOLVER.SAMPLING_SHARE
    favoured, everything = SAMPLINGS[name](contents), np.ones(len(contents))
    if not favoured.any():
        log.warning("SOLVER.SAMPLING %s finds nothing to favour in the training patches; all are drawn alike", name)
        share = 0.0
    background = everything - by_foreground(contents)
    others = background if name == "foreground" and background.any() else everything
    return Sampling(favoured, others, share, count)
