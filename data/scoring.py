"""Scores of predicted cases against their labels: pixels at level 0, surfaces and objects at the network's scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.patches.grid import Box, blocks
from data.sources.labels import IGNORE, ScaledLabels
from data.sources.source import Source
from data.stitching.components import StripComponents
from data.stitching.mask import MaskView, Threshold, to_classes, to_level
from data.stitching.probability_map import ProbabilityMap, strips
from utils.metrics import Confusion, count_confusion, hausdorff, probability_histograms
from utils.surface import Surface, SurfaceOverlap, join_surfaces, surface_overlap

BLOCK_PX = 2**20  # pixels of level 0 that are held at once
STRIP_CELLS = 2**20  # cells at the network's scale that are held at once
MATCH_IOU = 0.5  # a predicted object is found if it shares this IoU with a true one
UM_PER_MM = 1000.0


@dataclass(frozen=True)
class ObjectCounts:
    """Objects of the labels, of the prediction, and pairs of the two with an IoU above 0.5."""

    true: int = 0
    predicted: int = 0
    matched: int = 0


@dataclass(frozen=True)
class CaseScore:
    """Scores of one class of one case; distances in um where the pixel size is known, else in the network's pixels.

    A volume has the overlap of its surfaces, too, and a line of its own with distances in mm; `per_mm` is their unit.
    """

    id: str
    class_name: str
    confusion: Confusion
    hausdorff: float
    hausdorff95: float
    objects: ObjectCounts
    surface: SurfaceOverlap | None = None
    per_mm: float = 1.0

    def row(self) -> dict[str, object]:
        """A line of scores.csv."""
        return {
            "id": self.id,
            "class": self.class_name,
            **confusion_row(self.confusion),
            **self._shape_row(),
            "objects_true": self.objects.true,
            "objects_predicted": self.objects.predicted,
            "objects_matched": self.objects.matched,
        }

    def _shape_row(self) -> dict[str, object]:
        if self.surface is None:
            return {"hausdorff": self.hausdorff, "hausdorff95": self.hausdorff95}
        distances = {"hausdorff_mm": self.hausdorff / self.per_mm, "hausdorff95_mm": self.hausdorff95 / self.per_mm}
        return {**volume_row(self.confusion, self.surface), **distances}


def confusion_row(confusion: Confusion) -> dict[str, object]:
    """Dice, IoU, precision and recall by name."""
    return {name: getattr(confusion, name) for name in ("dice", "iou", "precision", "recall")}


def volume_row(confusion: Confusion, surface: SurfaceOverlap) -> dict[str, object]:
    """Volume ratio and surface Dice by name."""
    return {"volume_ratio": confusion.volume_ratio, "surface_dice": surface.dice}


SCORE_COLUMNS = list(CaseScore("", "", Confusion(), 0.0, 0.0, ObjectCounts()).row())
VOLUME_COLUMNS = list(CaseScore("", "", Confusion(), 0.0, 0.0, ObjectCounts(), SurfaceOverlap()).row())


def score_columns(scores: Sequence[CaseScore]) -> list[str]:
    """The columns of scores.csv: those of volumes where there is one."""
    return VOLUME_COLUMNS if are_volumes(scores) else SCORE_COLUMNS


def are_volumes(scores: Sequence[CaseScore]) -> bool:
    """Whether scores are of volumes."""
    return any(score.surface is not None for score in scores)


def summary_rows(scores: Sequence[CaseScore], classes: Sequence[str]) -> list[dict[str, object]]:
    """The lines over all cases: of volumes the means of each class, then the pooled lines."""
    return [*mean_rows(scores, classes), *pooled_rows(scores, classes)]


def mean_rows(scores: Sequence[CaseScore], classes: Sequence[str]) -> list[dict[str, object]]:
    """A line a class with the means over its cases, for volumes, of which each counts alike; none for pictures."""
    rows = []
    for name in classes if are_volumes(scores) else ():
        own = [score.row() for score in scores if score.class_name == name]
        means = {column: float(np.mean([row[column] for row in own])) for column in VOLUME_COLUMNS[2:-3]}
        rows.append({"id": "(mean)", "class": name, **means})
    return rows


def mean_dice(scores: Sequence[CaseScore]) -> float:
    """Mean Dice over cases and classes."""
    return float(np.mean([score.confusion.dice for score in scores]))


def pooled_rows(scores: Sequence[CaseScore], classes: Sequence[str]) -> list[dict[str, object]]:
    """A line a class over all cases: pixels, surfaces and objects summed, the largest distances left out."""
    rows = []
    for name in classes:
        own = [score for score in scores if score.class_name == name]
        surface = sum((score.surface or SurfaceOverlap() for score in own), SurfaceOverlap())
        confusion = sum((score.confusion for score in own), Confusion())
        objects = {
            f"objects_{kind}": sum(getattr(score.objects, kind) for score in own)
            for kind in ("true", "predicted", "matched")
        }
        more = volume_row(confusion, surface) if are_volumes(own) else {}
        rows.append({"id": "(pooled)", "class": name, **confusion_row(confusion), **more, **objects})
    return rows


def pooled_confusion(scores: Sequence[CaseScore]) -> Confusion:
    """Pixels of all cases and classes together."""
    return sum((score.confusion for score in scores), Confusion())


def case_histograms(probabilities: ProbabilityMap, labels: Source) -> np.ndarray:
    """Counts (K, 2, 256) of the probabilities at level 0 over false and true pixels of each class.

    `labels` are class indices in the frame of the map. Pixels of IGNORE are left out. Where another class is more
    probable, a class counts as 0, as the mask is of the most probable one.
    """
    classes = len(probabilities.frame.classes)
    view = probabilities.on_frame(labels.shape)
    counts = np.zeros((classes, 2, 256), np.int64)
    for box in blocks(labels.shape, _block_size(labels.shape)):
        values, truth = view.read(box), labels.read(box)[..., 0]
        if not (values.any() or truth.any()):
            counts[:, 0, 0] += truth.size
            continue
        known = truth != IGNORE
        values, truth = _most_probable(values[known]), truth[known]
        for number in range(classes):
            counts[number] += probability_histograms(values[:, number], truth == number + 1)
    return counts


def _most_probable(values: np.ndarray) -> np.ndarray:
    """Probabilities (n, K) with 0 for all classes but the most probable, the first of equals."""
    if values.shape[-1] == 1:
        return values
    return np.where(np.arange(values.shape[-1]) == values.argmax(-1)[:, None], values, 0)


def score_case(
    case_id: str, probabilities: ProbabilityMap, labels: Source, threshold: Threshold, tolerance_um: float = UM_PER_MM
) -> list[CaseScore]:
    """Scores of each class of a case at a threshold; `labels` are class indices in the frame of the map.

    `tolerance_um` is that of the surface Dice of a volume. Where the pixel size is unknown, a voxel counts as 1 mm.
    """
    classes = probabilities.frame.classes
    pixels = _confusions(MaskView(probabilities.on_frame(labels.shape), threshold), labels, len(classes))
    spacing = probabilities.pixel_um or (1.0,) * len(probabilities.shape)
    per_mm = UM_PER_MM if probabilities.pixel_um else 1.0
    shapes = _shapes(probabilities, labels, threshold)
    scores = []
    for name, confusion, each in zip(classes, pixels, shapes, strict=True):
        largest, most = each.hausdorff(spacing)
        surface = each.surface(spacing, tolerance_um / UM_PER_MM * per_mm)
        scores.append(CaseScore(case_id, name, confusion, largest, most, each.objects(), surface, per_mm))
    return scores


def _block_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (max(1, round(BLOCK_PX ** (1 / len(shape)))),) * len(shape)


def _confusions(mask: MaskView, labels: Source, classes: int) -> list[Confusion]:
    totals = [Confusion()] * classes
    for box in blocks(labels.shape, _block_size(labels.shape)):
        predicted, truth = mask.read(box), labels.read(box)[..., 0]
        if not (predicted.any() or truth.any()):
            continue
        known = truth != IGNORE
        for number in range(classes):
            totals[number] += count_confusion((predicted == number + 1) & known, truth == number + 1)
    return totals


class _Shapes:
    """Objects and boundaries of one class, gathered strip by strip: of the prediction and of the labels.

    Boundaries are cells; those of a volume are the surface between cells, too.
    """

    def __init__(self) -> None:
        self._numberings = StripComponents(), StripComponents()
        self._overlaps: list[np.ndarray] = []
        self._cells: tuple[list[np.ndarray], list[np.ndarray]] = [], []
        self._surfaces: tuple[list[Surface], list[Surface]] = [], []

    def add(self, strip: Box, wide: Box, *masks: np.ndarray) -> None:
        """Take the next strip of the predicted and the true mask, both boolean with the rows of `wide`."""
        if len(strip.size) == 3:
            for mask, surfaces in zip(masks, self._surfaces, strict=True):
                surfaces += [_surface(mask, strip, wide)] if mask.any() else []
        rows = slice(strip.start[0] - wide.start[0], strip.stop[0] - wide.start[0])
        for mask, found in zip(masks, self._cells, strict=True):
            found.append((np.argwhere(_boundary(mask)[rows]) + strip.start).astype(np.int32))
        numbers = (own.add(mask[rows]) for own, mask in zip(self._numberings, masks, strict=True))
        self._overlaps.append(_count_pairs(*numbers))

    def hausdorff(self, spacing: tuple[float, ...]) -> tuple[float, ...]:
        """Hausdorff distance of the boundaries and its 95th percentile, in the unit of `spacing`."""
        points, others = (np.concatenate(cells) * np.array(spacing) for cells in self._cells)
        return hausdorff(points, others, (100, 95))

    def surface(self, spacing: tuple[float, ...], tolerance: float) -> SurfaceOverlap | None:
        """How much of both surfaces agrees within a tolerance, in the unit of `spacing`; None unless of a volume."""
        predicted, true = map(join_surfaces, self._surfaces)
        return surface_overlap(predicted, true, spacing, tolerance) if len(spacing) == 3 else None

    def objects(self) -> ObjectCounts:
        """Objects of both masks, and those that match."""
        predicted, true, counts = np.concatenate(self._overlaps, axis=1)
        return _match(self._numberings[0].merged()[predicted], self._numberings[1].merged()[true], counts)


def _shapes(probabilities: ProbabilityMap, labels: Source, threshold: Threshold) -> list[_Shapes]:
    """Shapes of each class at the network's scale, in one pass over strips with a row more on both sides."""
    shape, level = probabilities.shape, to_level(threshold)
    shapes = [_Shapes() for _ in probabilities.frame.classes]
    view = ScaledLabels(labels, shape, len(shapes))
    for box in strips(shape, max(1, STRIP_CELLS // math.prod(shape[1:]))):
        wide = Box((box.start[0] - 1, *box.start[1:]), (box.size[0] + 2, *box.size[1:])).within(shape)
        truth = view.read(wide)
        predicted = to_classes(probabilities.read(wide), level)
        predicted[truth == IGNORE] = 0
        for number, each in enumerate(shapes, start=1):
            each.add(box, wide, predicted == number, truth == number)
    return shapes


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Cells of a mask that share a face with a cell outside of it; the image's border ends an object too."""
    inside, padded = mask.copy(), np.pad(mask, 1)
    for axis in range(mask.ndim):
        for first in (0, 2):
            place = [slice(1, -1)] * mask.ndim
            place[axis] = slice(first, first + mask.shape[axis])
            inside &= padded[tuple(place)]
    return mask & ~inside


def _surface(mask: np.ndarray, strip: Box, wide: Box) -> Surface:
    """The surface above each row of a strip, and below its last row where the volume ends there.

    What lies outside of the volume is background. A place is that of the first of its eight cells.
    """
    above, below = strip.start[0] - wide.start[0], wide.stop[0] - strip.stop[0]  # rows of the neighbours, 0 or 1
    rows = mask if below == 0 else mask[:-below]
    padded = np.pad(rows, [(1 - above, 1 - below), (1, 1), (1, 1)])
    return Surface.of(padded).shifted((strip.start[0] - 1, -1, -1))


def _count_pairs(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Pairs of object numbers that lie on one another, and on how many cells: (3, pairs) int64; 0 is background."""
    some = (predicted > 0) | (true > 0)
    pairs, counts = np.unique(predicted[some] << 32 | true[some], return_counts=True)
    return np.stack([pairs >> 32, pairs & 0xFFFFFFFF, counts])


def _match(predicted: np.ndarray, true: np.ndarray, counts: np.ndarray) -> ObjectCounts:
    """Count objects and pairs above MATCH_IOU from overlaps (predicted, true, pixels); 0 is background."""
    areas_predicted, areas_true = (np.bincount(ids, weights=counts, minlength=1) for ids in (predicted, true))
    shared = np.zeros((len(counts), 3), np.int64)
    shared[:] = np.column_stack([predicted, true, counts])
    shared = shared[(shared[:, :2] > 0).all(1)]
    pairs, places = np.unique(shared[:, :2], axis=0, return_inverse=True)
    common = np.bincount(places.ravel(), weights=shared[:, 2], minlength=len(pairs))
    union = areas_predicted[pairs[:, 0]] + areas_true[pairs[:, 1]] - common
    matched = int(np.count_nonzero(common > MATCH_IOU * union))
    return ObjectCounts(int((areas_true[1:] > 0).sum()), int((areas_predicted[1:] > 0).sum()), matched)
