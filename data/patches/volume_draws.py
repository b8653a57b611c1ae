"""Patches drawn from volumes, by MONAI's crop centres or TorchIO's samplers, as a function of seed, epoch and place."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from yacs.config import CfgNode

from data.patches.crops import CROP
from data.patches.dataset import PatchSample, Sample
from data.patches.decoded import KEPT
from data.patches.grid import Box, whole
from data.sources.labels import IGNORE
from utils.seed import chance_as_before

Size = tuple[int, ...]
Draw = Callable[[np.ndarray, Size, int, float, int], list[Size]]


def near_labels(classes: np.ndarray, size: Size, count: int, share: float, seed: int) -> list[Size]:
    """Starts of patches whose centre is foreground in a `share` of them, else background, moved inside the volume."""
    from monai.transforms.utils import generate_pos_neg_label_crop_centers

    flat = classes.ravel()
    foreground, background = np.flatnonzero((flat > 0) & (flat != IGNORE)), np.flatnonzero(flat == 0)
    kinds = [kind if len(kind) else np.arange(flat.size) for kind in (foreground, background)]
    share = share if len(foreground) else 0.0
    chance = np.random.RandomState(seed)
    centres = generate_pos_neg_label_crop_centers(size, count, share, classes.shape, *kinds, rand_state=chance)
    return [tuple(int(c) - wide // 2 for c, wide in zip(centre, size, strict=True)) for centre in centres]


def anywhere(classes: np.ndarray, size: Size, count: int, share: float, seed: int) -> list[Size]:
    """Starts of patches that lie anywhere with equal chances."""
    from torchio import UniformSampler

    return _drawn(UniformSampler(size), classes, count, seed)


def on_labels(classes: np.ndarray, size: Size, count: int, share: float, seed: int) -> list[Size]:
    """Starts of patches whose centre is a class, each alike, in a `share` of them, else background."""
    from torchio import LabelSampler

    inside = np.unique(_centres(classes, size))
    labels = [int(label) for label in inside if label not in (0, IGNORE)]
    chances = {label: share / len(labels) for label in labels} | ({0: 1 - share} if 0 in inside else {})
    if not any(chances.values()):
        return anywhere(classes, size, count, share, seed)
    return _drawn(LabelSampler(size, "map", chances), classes, count, seed)


def by_content(classes: np.ndarray, size: Size, count: int, share: float, seed: int) -> list[Size]:
    """Starts of patches, a `share` of them by the foreground that they would hold, the others anywhere."""
    from scipy.ndimage import uniform_filter
    from torchio import WeightedSampler

    foreground = ((classes > 0) & (classes != IGNORE)).astype(np.float32)
    held = np.maximum(uniform_filter(foreground, size, mode="constant"), 0)
    centres = _centres(held, size)
    if not centres.any():
        return anywhere(classes, size, count, share, seed)
    chances = (1 - share) / centres.size + share / centres.sum(dtype=np.float64) * held
    return _drawn(WeightedSampler(size, "map"), chances, count, seed)


DRAWS: Mapping[str, Draw] = {"posneg": near_labels, "uniform": anywhere, "label": on_labels, "weighted": by_content}
LIBRARIES = {"posneg": "monai.transforms.utils", "uniform": "torchio", "label": "torchio", "weighted": "torchio"}


def _centres(values: np.ndarray, size: Size) -> np.ndarray:
    """Where the centre of a patch inside the volume may lie."""
    axes = zip(values.shape, size, strict=True)
    return values[tuple(slice(wide // 2, n - (wide - 1) // 2) for n, wide in axes)]


def _drawn(sampler: Callable, values: np.ndarray, count: int, seed: int) -> list[Size]:
    """Starts of `count` patches that a sampler of TorchIO, which draws from torch's generator, takes by a map."""
    import torch
    import torchio

    subject = torchio.Subject(map=torchio.LabelMap(tensor=torch.tensor(values)[None]))
    with chance_as_before():
        torch.manual_seed(seed)
        patches = list(sampler(subject, count))
    return [tuple(int(n) for n in patch[torchio.LOCATION][: values.ndim]) for patch in patches]


@dataclass(frozen=True)
class DrawnSample(PatchSample):
    """One of `count` patches that an epoch draws from a case, anew each time; its box has the size alone."""

    case_number: int = 0
    number: int = 0
    count: int = 1


class Drawing:
    """Reads a patch of a volume where it is drawn; the draws of a case in an epoch are made together."""

    def __init__(self, draw: Draw, share: float):
        self.draw = draw
        self.share = share
        self._starts: dict[tuple[int, ...], list[Size]] = {}

    def __call__(self, sample: Sample, draw: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Image and class indices; raises SourceError or RleError."""
        assert isinstance(sample, DrawnSample)
        seed, epoch = draw[:2]
        key = (seed, epoch, sample.case_number, CROP)
        if key not in self._starts:
            while len(self._starts) >= KEPT:
                del self._starts[next(iter(self._starts))]
            self._starts[key] = self._draw(sample, int(np.random.SeedSequence(key).generate_state(1)[0]))
        start = self._starts[key][sample.number]
        return replace(sample, box=Box(start, sample.box.size)).read()

    def _draw(self, sample: DrawnSample, seed: int) -> list[Size]:
        """Starts; a patch larger than the volume lies about its middle."""
        size = sample.box.size
        with sample.reader.open_both(sample.case) as (_, labels):
            classes = labels.read(whole(labels.shape))[..., 0]
        fitting = tuple(min(pair) for pair in zip(size, classes.shape, strict=True))
        margin = [(wide - fit) // 2 for wide, fit in zip(size, fitting, strict=True)]
        starts = self.draw(classes, fitting, sample.count, self.share, seed)
        return [tuple(a - m for a, m in zip(start, margin, strict=True)) for start in starts]


@dataclass(frozen=True)
class CaseOrder:
    """An epoch of patches in random order, of a few cases at a time, so that each is decoded once."""

    case_of: tuple[int, ...]
    count: int

    @property
    def favoured(self) -> np.ndarray:
        """1 for each patch: all are alike."""
        return np.ones(len(self.case_of))

    def order(self, chance: np.random.Generator) -> list[int]:
        """Places of the patches."""
        cases = chance.permutation(max(self.case_of) + 1)
        turn = np.empty(len(cases), np.int64)
        turn[cases] = np.arange(len(cases)) // KEPT
        mixed = chance.permutation(len(self.case_of))
        return mixed[np.argsort(turn[np.asarray(self.case_of)[mixed]], kind="stable")][: self.count].tolist()


def draw_from(cases: Sequence[PatchSample], each: int, count: int) -> tuple[list[DrawnSample], CaseOrder]:
    """`each` patches a case, drawn in an epoch of `count`; `cases` gives one patch of each, for its size."""
    samples = [
        DrawnSample(f"{one.case.id}_draw{number}", one.case, one.box, one.shape, one.reader, place, number, each)
        for place, one in enumerate(cases)
        for number in range(each)
    ]
    return samples, CaseOrder(tuple(sample.case_number for sample in samples), min(count, len(samples)))


def build_volume_draws(cfg: CfgNode, train: Sequence[Sample]) -> tuple[list[DrawnSample], CaseOrder, Drawing]:
    """Patches that an epoch draws from the cases of these patches, in which order, and how they are read.

    Raises ValueError where the library that SOLVER.SAMPLING asks for is missing.
    """
    name = cfg.SOLVER.SAMPLING
    library = LIBRARIES[name]
    try:
        importlib.import_module(library)  # now, so that workers need not
    except ImportError as error:
        raise ValueError(
            f"SOLVER.SAMPLING {name!r} needs {library.split('.')[0]}: pip install --requirement "
            f"requirements-volumes.txt --constraint constraints.txt ({error})"
        ) from error
    first = {sample.case_id: sample for sample in reversed(train) if isinstance(sample, PatchSample)}
    cases = [first[case_id] for case_id in sorted(first)]
    count = cfg.SOLVER.EPOCH_PATCHES or cfg.INPUT.PATCHES_PER_CASE * len(cases)
    samples, order = draw_from(cases, -(-count // len(cases)), count)
    return samples, order, Drawing(DRAWS[name], cfg.INPUT.POSITIVE_SHARE)
