"""How masks are made of probabilities, chosen by the pooled Dice of cases that their networks did not see.

The threshold is chosen on level 0, what follows it at the network's scale. Of choices as good as the best that which
changes least is taken.
"""

import itertools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from data.patches.grid import Box
from data.scoring import case_histograms
from data.sources.labels import IGNORE, ScaledLabels
from data.sources.source import Source
from data.stitching.components import PieceCounts
from data.stitching.mask import Threshold, by_class, to_classes, to_levels
from data.stitching.mask_rule import MaskRule
from data.stitching.postprocess import border, clean_case
from data.stitching.probability_map import ProbabilityMap, strips
from utils.metrics import LEVELS, Confusion, best_threshold

log = logging.getLogger(__name__)

TUNED = ("classes", "low", "objects", "holes")  # what may be tuned besides one threshold
LOWS = (1.0, 0.8, 0.6, 0.4)  # lower thresholds, as shares of the threshold
PEAKS = (0.0, 0.25, 0.5, 0.75)  # upper thresholds, as shares of the way from the threshold to 1
SIZES_PX = (0, 10, 30, 100, 300, 1000, 3000)
AS_GOOD = 5e-4  # Dice by which a choice may be worse than the best


@dataclass
class Sample:
    """A case to choose by: its map, and what opens its image and its labels, class indices in the frame of the map."""

    id: str
    fold: int
    probabilities: ProbabilityMap
    open_both: Callable[[], AbstractContextManager[tuple[Source, Source]]]
    scratch: Path
    _objects: "dict[tuple, Pieces]" = field(default_factory=dict)
    _histograms: np.ndarray | None = None

    @property
    def histograms(self) -> np.ndarray:
        """Counts (K, 2, 256), as `case_histograms` gives them."""
        if self._histograms is None:
            with self.open_both() as (_, labels):
                self._histograms = case_histograms(self.probabilities, labels)
        return self._histograms

    def counted(self) -> Self:
        """The sample, once its labels were read; errors of theirs come here."""
        assert self.histograms.size
        return self

    def objects(self, extent: Threshold, peaks: Sequence[Threshold]) -> "Pieces":
        """The objects of the mask at `extent`, with the cells of each that reach each of `peaks`."""
        key = str(extent), str(peaks)
        if key not in self._objects:
            with self.open_both() as (_, labels):
                self._objects[key] = count_objects(self.probabilities, labels, extent, peaks)
        return self._objects[key]

    def holes(self, rule: MaskRule) -> "Pieces":
        """The holes of the mask that a rule without holes makes."""
        cleaned = clean_case(self.probabilities, self.scratch / f"{self.id}.zarr", rule)
        with self.open_both() as (_, labels):
            return count_holes(cleaned, labels, rule.extent)


@dataclass(frozen=True)
class Pieces:
    """Objects or holes (n): their cells, those rightly and those wrongly foreground if they are, `reaching` (m, n).

    `others` counts the cells that are foreground whatever becomes of the pieces, `truth` the cells of the labels.
    """

    area: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    reaching: np.ndarray
    truth: int
    others: tuple[int, int] = (0, 0)

    def confusion(self, chosen: np.ndarray) -> Confusion:
        """Confusion of the mask in which the chosen pieces (n) boolean are foreground."""
        right = self.others[0] + int(self.right[chosen].sum())
        return Confusion(right, self.others[1] + int(self.wrong[chosen].sum()), self.truth - right)


@dataclass(frozen=True)
class Rules:
    """The rule that all cases choose, the Dice at which they do, and the rule for each fold that the others choose."""

    kept: MaskRule
    dice: float
    by_fold: Mapping[int, tuple[MaskRule, float]] = field(default_factory=dict)

    def of(self, fold: int) -> MaskRule:
        """The rule to score a fold with."""
        return self.by_fold[fold][0] if fold in self.by_fold else self.kept

    @property
    def label(self) -> str:
        """In a few words, at what cases were scored."""
        middle = f"threshold {np.mean(self.kept.threshold):.2f}"
        return f"what the other folds chose (all: {middle})" if self.by_fold else middle

    def card(self, fixed: MaskRule) -> dict[str, Any]:
        """What weights carry of the rule: all but what was fixed before."""
        rule = self.kept
        return {
            "threshold": float(np.mean(rule.threshold)),
            "thresholds": tuple(rule.threshold) if isinstance(rule.threshold, Sequence) else (),
            "low": 0.0 if fixed.low else rule.low,
            "min_object_px": 0 if fixed.min_object_px else rule.min_object_px,
            "max_hole_px": 0 if fixed.max_hole_px else rule.max_hole_px,
        }

    def rows(self) -> list[dict[str, object]]:
        """Lines of tuning.csv; `dice` is that of the cases which chose."""
        named = {"all": (self.kept, self.dice)} | {f"all but {fold}": own for fold, own in self.by_fold.items()}
        return [{"chosen by folds": name, **_cells(rule), "dice": dice} for name, (rule, dice) in named.items()]


def choose_rules(samples: Sequence[Sample], tune: Collection[str], fixed: MaskRule, nested: bool) -> Rules:
    """The rule that all samples choose and, if `nested`, for each of two or more folds that of the others."""
    folds = sorted({sample.fold for sample in samples}) if nested else []
    if len(folds) == 1:
        log.warning("SOLVER.NESTED wants two folds; the scores are made at settings that the same cases chose")
    by_fold = {
        fold: choose_rule([sample for sample in samples if sample.fold != fold], tune, fixed)
        for fold in folds
        if len(folds) > 1
    }
    return Rules(*choose_rule(samples, tune, fixed), by_fold)


def _cells(rule: MaskRule) -> dict[str, object]:
    thresholds = " ".join(f"{each:.3f}" for each in by_class(rule.threshold, 1))
    return {"threshold": thresholds, **{name: getattr(rule, name) for name in ("low", "min_object_px", "max_hole_px")}}


def choose_rule(samples: Sequence[Sample], tune: Collection[str], fixed: MaskRule) -> tuple[MaskRule, float]:
    """The rule of the highest pooled Dice, and that Dice; what `fixed` says of low and sizes, unless 0, stays.

    Its threshold is not looked at.
    """
    rule, dice = choose_threshold(samples, fixed, "classes" in tune)
    lows = LOWS if "low" in tune and not fixed.low else ()
    sizes = SIZES_PX if "objects" in tune and not fixed.min_object_px else ()
    if lows or sizes:
        rule, dice = choose_objects(samples, rule, lows, sizes)
    if "holes" in tune and not fixed.max_hole_px:
        rule, dice = choose_holes(samples, rule)
    return rule, dice


def choose_threshold(samples: Sequence[Sample], fixed: MaskRule, apart: bool) -> tuple[MaskRule, float]:
    """The rule at the best threshold for all classes, or at the best one of each, and the Dice before cleaning."""
    histograms = pooled_histograms(samples)
    threshold, dice = best_threshold(histograms.sum(0))
    if not apart:
        return replace(fixed, threshold=threshold), dice
    return replace(fixed, threshold=tuple(best_threshold(own)[0] for own in histograms)), dice


def pooled_histograms(samples: Sequence[Sample]) -> np.ndarray:
    """Counts (K, 2, 256) over all samples; zeros of one class where there are none."""
    return np.sum([sample.histograms for sample in samples], axis=0) if samples else np.zeros((1, 2, LEVELS), np.int64)


def choose_objects(
    samples: Sequence[Sample], rule: MaskRule, lows: Sequence[float], sizes: Sequence[int]
) -> tuple[MaskRule, float]:
    """The best lower and upper threshold and least size of objects; an empty grid leaves what the rule says."""
    peaks = [raised(rule.threshold, share) for share in (PEAKS if lows else PEAKS[:1])]
    middle, found = float(np.mean(rule.threshold)), []
    for share, (place, peak) in itertools.product(lows or (1.0,), enumerate(peaks)):
        low = share * middle if share < 1 or place else rule.low
        for size in sizes or (rule.min_object_px,):
            candidate = replace(rule, threshold=peak, low=low, min_object_px=size)
            found.append((candidate, _objects_dice(samples, candidate, peaks, place)))
    return _least_of_the_best(found)


def choose_holes(samples: Sequence[Sample], rule: MaskRule) -> tuple[MaskRule, float]:
    """The best size up to which holes are filled."""
    pieces = [sample.holes(rule) for sample in samples]
    found = [
        (replace(rule, max_hole_px=size), _pooled(each.confusion(each.area <= size) for each in pieces))
        for size in SIZES_PX
    ]
    return _least_of_the_best(found)


def raised(threshold: Threshold, share: float) -> Threshold:
    """A threshold, or one a class, moved towards 1 by a share of the way."""
    if isinstance(threshold, Sequence):
        return tuple(each + (1 - each) * share for each in threshold)
    return threshold + (1 - threshold) * share


def count_objects(
    probabilities: ProbabilityMap, labels: Source, extent: Threshold, peaks: Sequence[Threshold]
) -> Pieces:
    """The objects of the mask at `extent`, at the network's scale; what another class hides of them counts as neither.

    What a removed object would uncover of another class is not counted.
    """
    classes = len(probabilities.frame.classes)
    levels, reached = to_levels(extent, classes), [to_levels(each, classes) for each in peaks]
    counters, total = [PieceCounts() for _ in range(classes)], 0
    for box, truth in _labelled_strips(probabilities, labels):
        values = probabilities.read(box)
        mask, known = to_classes(values, levels), truth != IGNORE
        total += int(np.count_nonzero(known & (truth > 0)))
        for number, pieces in enumerate(counters):
            seen, own = values[..., number], (mask == number + 1) & known
            true = truth == number + 1
            pieces.add(seen >= levels[number], own & true, own & ~true, *(seen >= each[number] for each in reached))
    area, right, wrong, *reaching = np.concatenate([pieces.finish()[0][:, 1:] for pieces in counters], axis=1)
    return Pieces(area, right, wrong, np.stack(reaching), total)


def count_holes(probabilities: ProbabilityMap, labels: Source, extent: Threshold) -> Pieces:
    """The holes of the mask at `extent` that touch no border, at the network's scale."""
    classes = len(probabilities.frame.classes)
    levels, counters = to_levels(extent, classes), [PieceCounts(faces_only=True) for _ in range(classes)]
    total, right, wrong = 0, 0, 0
    for box, truth in _labelled_strips(probabilities, labels):
        values = probabilities.read(box)
        mask, known, edge = to_classes(values, levels), truth != IGNORE, border(box, probabilities.shape)
        total += int(np.count_nonzero(known & (truth > 0)))
        right += int(np.count_nonzero(known & (mask > 0) & (mask == truth)))
        wrong += int(np.count_nonzero(known & (mask > 0) & (mask != truth)))
        for number, pieces in enumerate(counters):
            empty, true = (mask == 0) & known, truth == number + 1
            pieces.add(values[..., number] < levels[number], empty & true, empty & ~true, edge)
    counts = np.concatenate([pieces.finish()[0][:, 1:] for pieces in counters], axis=1)
    area, gained, lost, at_border = counts[:, counts[3] == 0]
    return Pieces(area, gained, lost, at_border[None], total, (right, wrong))


def _labelled_strips(probabilities: ProbabilityMap, labels: Source) -> Iterator[tuple[Box, np.ndarray]]:
    view = ScaledLabels(labels, probabilities.shape, len(probabilities.frame.classes))
    for box in strips(probabilities.shape):
        yield box, view.read(box)


def _objects_dice(samples: Sequence[Sample], rule: MaskRule, peaks: Sequence[Threshold], place: int) -> float:
    pieces = [sample.objects(rule.extent, peaks) for sample in samples]
    return _pooled(each.confusion((each.area >= rule.min_object_px) & (each.reaching[place] > 0)) for each in pieces)


def _pooled(confusions: Iterator[Confusion]) -> float:
    return sum(confusions, Confusion()).dice


def _least_of_the_best(found: Sequence[tuple[MaskRule, float]]) -> tuple[MaskRule, float]:
    """The first that is as good as the best."""
    best = max(dice for _, dice in found)
    return next((rule, dice) for rule, dice in found if dice >= best - AS_GOOD)
