"""Scores of predicted cases against their labels: pixels at level 0, surfaces and objects at the network's scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data.patches.grid import Box, blocks
from data.sources.labels import IGNORE, ScaledLabels
from data.sources.source import Source
from data.stitching.components import StripComponents
from data.stitching.mask import MaskView, to_classes
from data.stitching.probability_map import ProbabilityMap, strips
from utils.metrics import Confusion, count_confusion, hausdorff, probability_histograms, threshold_to_level

BLOCK_PX = 2**22
MATCH_IOU = 0.5  # a predicted object is found if it shares this IoU with a true one


@dataclass(frozen=True)
class ObjectCounts:
    """Objects of the labels, of the prediction, and pairs of the two with an IoU above 0.5."""

    true: int = 0
    predicted: int = 0
    matched: int = 0


@dataclass(frozen=True)
class CaseScore:
    """Scores of one class of one case; distances in um where the pixel size is known, else in the network's pixels."""

    id: str
    class_name: str
    confusion: Confusion
    hausdorff: float
    hausdorff95: float
    objects: ObjectCounts

    def row(self) -> dict[str, object]:
        """A line of scores.csv."""
        return {
            "id": self.id,
            "class": self.class_name,
            **confusion_row(self.confusion),
            "hausdorff": self.hausdorff,
            "hausdorff95": self.hausdorff95,
            "objects_true": self.objects.true,
            "objects_predicted": self.objects.predicted,
            "objects_matched": self.objects.matched,
        }


def confusion_row(confusion: Confusion) -> dict[str, object]:
    """Dice, IoU, precision and recall by name."""
    return {name: getattr(confusion, name) for name in ("dice", "iou", "precision", "recall")}


SCORE_COLUMNS = list(CaseScore("", "", Confusion(), 0.0, 0.0, ObjectCounts()).row())


def pooled_rows(scores: Sequence[CaseScore], classes: Sequence[str]) -> list[dict[str, object]]:
    """A line a class over all cases: pixels and objects summed, the largest distances left out."""
    rows = []
    for name in classes:
        own = [score for score in scores if score.class_name == name]
        confusion = sum((score.confusion for score in own), Confusion())
        objects = {
            f"objects_{kind}": sum(getattr(score.objects, kind) for score in own)
            for kind in ("true", "predicted", "matched")
        }
        rows.append({"id": "(pooled)", "class": name, **confusion_row(confusion), **objects})
    return rows


def pooled_confusion(scores: Sequence[CaseScore]) -> Confusion:
    """Pixels of all cases and classes together."""
    return sum((score.confusion for score in scores), Confusion())


def case_histograms(probabilities: ProbabilityMap, labels: Source) -> np.ndarray:
    """Counts (K, 2, 256) of the probabilities at level 0 over false and true pixels of each class.

    `labels` are class indices in the frame of the map. Pixels of IGNORE are left out.
    """
    classes = len(probabilities.frame.classes)
    view = probabilities.on_frame(labels.shape)
    counts = np.zeros((classes, 2, 256), np.int64)
    for box in blocks(labels.shape, _block_size(labels.shape)):
        values, truth = view.read(box), labels.read(box)[..., 0]
        known = truth != IGNORE
        for number in range(classes):
            counts[number] += probability_histograms(values[..., number][known], truth[known] == number + 1)
    return counts


def score_case(case_id: str, probabilities: ProbabilityMap, labels: Source, threshold: float) -> list[CaseScore]:
    """Scores of each class of a case at a threshold; `labels` are class indices in the frame of the map."""
    classes = probabilities.frame.classes
    pixels = _confusions(MaskView(probabilities.on_frame(labels.shape), threshold), labels, len(classes))
    scores = []
    for number, (name, confusion) in enumerate(zip(classes, pixels, strict=True), start=1):
        predicted, truth = _boundaries(probabilities, labels, threshold, number)
        largest, most = (hausdorff(predicted, truth, percentile) for percentile in (100, 95))
        objects = _objects(probabilities, labels, threshold, number)
        scores.append(CaseScore(case_id, name, confusion, largest, most, objects))
    return scores


def _block_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (max(1, round(BLOCK_PX ** (1 / len(shape)))),) * len(shape)


def _confusions(mask: MaskView, labels: Source, classes: int) -> list[Confusion]:
    totals = [Confusion()] * classes
    for box in blocks(labels.shape, _block_size(labels.shape)):
        predicted, truth = mask.read(box), labels.read(box)[..., 0]
        known = truth != IGNORE
        for number in range(classes):
            totals[number] += count_confusion((predicted == number + 1) & known, truth == number + 1)
    return totals


def _mask_strips(
    probabilities: ProbabilityMap, labels: Source, threshold: float, number: int, halo: int = 0
) -> Iterator[tuple[Box, Box, np.ndarray, np.ndarray]]:
    """Strips at the network's scale with `halo` more rows on both sides: strip, wide strip, predicted, true."""
    shape, level = probabilities.shape, threshold_to_level(threshold)
    view = ScaledLabels(labels, shape, len(probabilities.frame.classes))
    for box in strips(shape):
        wide = Box((box.start[0] - halo, *box.start[1:]), (box.size[0] + 2 * halo, *box.size[1:])).within(shape)
        truth = view.read(wide)
        predicted = to_classes(probabilities.read(wide), level)
        yield box, wide, (predicted == number) & (truth != IGNORE), truth == number


def _boundaries(
    probabilities: ProbabilityMap, labels: Source, threshold: float, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boundary cells (n, axes) of the predicted and the true mask, in um where known, else in pixels."""
    spacing = np.array(probabilities.pixel_um or (1.0,) * len(probabilities.shape))
    found: tuple[list, list] = ([], [])
    for box, wide, *masks in _mask_strips(probabilities, labels, threshold, number, halo=1):
        rows = slice(box.start[0] - wide.start[0], box.stop[0] - wide.start[0])
        for mask, points in zip(masks, found, strict=True):
            edge = mask & ~ndimage.binary_erosion(mask)  # the image's border ends an object too
            points.append((np.argwhere(edge[rows]) + box.start) * spacing)
    return np.concatenate(found[0]), np.concatenate(found[1])


def _objects(probabilities: ProbabilityMap, labels: Source, threshold: float, number: int) -> ObjectCounts:
    numberings = StripComponents(), StripComponents()
    overlaps: list[np.ndarray] = []
    for _, _, *masks in _mask_strips(probabilities, labels, threshold, number):
        pairs = np.stack([own.add(mask).ravel() for own, mask in zip(numberings, masks, strict=True)])
        values, counts = np.unique(pairs[:, pairs.any(0)], axis=1, return_counts=True)
        overlaps.append(np.vstack([values, counts]))
    predicted, true, counts = np.concatenate(overlaps, axis=1)
    return _match(numberings[0].merged()[predicted], numberings[1].merged()[true], counts)


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
