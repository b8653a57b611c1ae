"""The folder of results: what each case leaves there, and the report over all of them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.cases import Case
from data.scoring import (
    UM_PER_MM,
    CaseScore,
    are_volumes,
    mean_dice,
    pooled_confusion,
    score_case,
    score_columns,
    summary_rows,
)
from data.sources.opening import CaseReader
from data.stitching.mask import Threshold, by_class
from data.stitching.mask_rule import MaskRule
from data.stitching.probability_map import ProbabilityMap
from data.writers.errors import write_errors
from data.writers.geojson import compressed_path, find_geojson
from data.writers.overlay import small_masks, write_overlay
from utils.atomic import atomic_path
from utils.bar_plot import plot_bars
from utils.failures import Failure
from utils.plots import triptych
from utils.report import Figures, Link, Listing, Pictures, Section, Table, Text, write_report
from utils.strip_plot import plot_strip
from utils.tables import write_table

SHOWN_CASES = 24  # pictures in a report; the folder has them all
NOTE = "Pixels are counted at full resolution, over all cases for the pooled line; an object is matched above IoU 0.5."
VOLUME_NOTE = (
    "Voxels are counted at full resolution, over all cases for the pooled lines; means count each case alike. Surfaces "
    "and objects are those at the network's scale, distances in mm; surface Dice is the share of both surfaces that "
    "lies within TEST.SURFACE_TOLERANCE_UM of the other. Volume ratio is predicted over true."
)
THREE_VIEWS = "; from left slices across z, row and column"


@dataclass(frozen=True)
class Results:
    """Paths of the results below one folder."""

    root: Path

    def probabilities(self, case_id: str) -> Path:
        """Probability map at the network's scale, a zarr array."""
        return self.root / "probabilities" / f"{case_id}.zarr"

    def cleaned(self, case_id: str) -> Path:
        """The map after post-processing."""
        return self.root / "cleaned" / f"{case_id}.zarr"

    def mask(self, case_id: str) -> Path:
        """Pyramidal TIFF mask at level 0."""
        return self.root / "masks" / f"{case_id}.tiff"

    def run_lengths(self, case_id: str) -> Path:
        """The case's lines of output.csv."""
        return self.root / "rle" / f"{case_id}.csv"

    def ome(self, case_id: str) -> Path:
        """OME-TIFF mask at level 0."""
        return self.root / "ome" / f"{case_id}.ome.tiff"

    def geojson(self, case_id: str) -> Path:
        """Outlines of the objects, for QuPath; a large one lies at `compressed_path` of this."""
        return self.root / "geojson" / f"{case_id}.geojson"

    def objects(self, case_id: str) -> Path:
        """The case's lines of objects.csv, with a header."""
        return self.root / "objects" / f"{case_id}.csv"

    def preview(self, case_id: str) -> Path:
        """The mask as a small picture."""
        return self.root / "previews" / f"{case_id}.png"

    def nifti(self, case_id: str) -> Path:
        """Mask of a volume on the grid of its file."""
        return self.root / "nifti" / f"{case_id}.nii.gz"

    def gif(self, case_id: str) -> Path:
        """The slices of a volume one after the other, with the mask laid over."""
        return self.root / "gifs" / f"{case_id}.gif"

    def overlay(self, case_id: str) -> Path:
        """Image with outlines."""
        return self.root / "overlays" / f"{case_id}.jpg"

    def errors(self, case_id: str) -> Path:
        """Image with what was found, what was not there and what was missed."""
        return self.root / "errors" / f"{case_id}.jpg"

    def tissue(self, case_id: str) -> Path:
        """Where tissue was found, and the patches that were predicted."""
        return self.root / "tissue" / f"{case_id}.jpg"

    @property
    def dice_by_class(self) -> Path:
        """Dice of each volume as dots by class."""
        return self.root / "dice_by_class.png"

    @property
    def dice_by_case(self) -> Path:
        """Dice of each volume as sorted bars."""
        return self.root / "dsc.png"

    @property
    def slices(self) -> Path:
        """Folder of the slices of volumes as pictures with outlines."""
        return self.root / "predictions"

    def triptych(self, case_id: str) -> Path:
        """Input, truth and prediction side by side."""
        return self.root / "triptychs" / f"{case_id}.png"

    def discard(self, case_id: str) -> None:
        """Remove what was written of a case that failed after all."""
        maps = [self.probabilities(case_id), self.cleaned(case_id)]
        masks = [self.mask, self.run_lengths, self.ome, self.geojson, self.objects, self.nifti]
        pictures = [self.preview, self.gif, self.overlay, self.errors, self.tissue, self.triptych]
        for folder in maps:
            shutil.rmtree(folder, ignore_errors=True)
        for path in [each(case_id) for each in masks + pictures]:
            path.unlink(missing_ok=True)
        compressed_path(self.geojson(case_id)).unlink(missing_ok=True)


def evaluate_case(
    case: Case,
    reader: CaseReader,
    probabilities: ProbabilityMap,
    threshold: Threshold,
    results: Results,
    longest_px: int,
    tolerance_um: float = UM_PER_MM,
) -> list[CaseScore]:
    """Draw a predicted case and, where its labels are known, score it; the scores of each class.

    `tolerance_um` is that of the surface Dice of volumes.
    """
    overlay, classes = results.overlay(case.id), reader.classes
    if case.labels is None:
        results.errors(case.id).unlink(missing_ok=True)  # of an earlier run that had labels
        with reader.open_image(case) as source:
            write_overlay(overlay, *small_masks(source, None, probabilities, threshold, longest_px), classes)
        return []
    with reader.open_both(case) as (source, labels):
        scores = score_case(case.id, probabilities, labels, threshold, tolerance_um)
        panels = small_masks(source, labels, probabilities, threshold, longest_px)
    write_overlay(overlay, *panels, classes)
    picture, truth, predicted = panels
    assert truth is not None
    write_errors(results.errors(case.id), picture, truth, predicted, len(classes) > 1)
    pooled = pooled_confusion(scores)
    with atomic_path(results.triptych(case.id)) as draft:
        triptych(*panels, f"{case.id}   Dice {pooled.dice:.3f}, IoU {pooled.iou:.3f}", draft)
    return scores


def write_scores(path: Path, scores: Sequence[CaseScore], classes: Sequence[str]) -> None:
    """Write scores.csv: a line a case and class, then those over all cases."""
    rows = [score.row() for score in scores] + summary_rows(scores, classes)
    write_table(path, rows, score_columns(scores))


def write_results_report(
    results: Results,
    title: str,
    case_ids: Sequence[str],
    scores: Sequence[CaseScore],
    classes: Sequence[str],
    rule: MaskRule,
    failures: Sequence[Failure],
    config: str,
    more: Sequence[Section] = (),
) -> Path:
    """Write report.html, one page that needs nothing else; returns its path."""
    sections: list[Section] = [_figures(case_ids, scores, classes, rule, failures)]
    if scores:
        sections += [_score_table(scores, classes)]
    if are_volumes(scores):
        sections += [_dice_by_class(results, scores, classes)]
    cases = _case_pictures(results, case_ids, scores, classes)
    sections += [*cases, *_tissue_pictures(results, case_ids), *more, *_files(results, case_ids)]
    if failures:
        rows = [(failure.id, failure.file, failure.message) for failure in failures]
        sections.append(Table("Cases that failed", ["id", "file", "message"], rows))
    sections.append(Listing("Config", config))
    write_report(results.root / "report.html", title, sections)
    return results.root / "report.html"


def _figures(
    case_ids: Sequence[str],
    scores: Sequence[CaseScore],
    classes: Sequence[str],
    rule: MaskRule,
    failures: Sequence[Failure],
) -> Figures:
    items: list[tuple[str, object]] = [("cases", len(case_ids)), ("failed", len({each.id for each in failures}))]
    if scores:
        pooled = pooled_confusion(scores)
        items = [("Dice, pooled", pooled.dice), ("IoU, pooled", pooled.iou), *items]
        items = [("Dice, mean of cases and classes", mean_dice(scores)), *items] if are_volumes(scores) else items
    return Figures("In short", [*items, *_rule_figures(rule, classes)])


def _rule_figures(rule: MaskRule, classes: Sequence[str]) -> list[tuple[str, object]]:
    """The threshold, or that of each class, and what else makes the masks."""
    own = by_class(rule.threshold, len(classes))
    names = [f"threshold, {name}" for name in classes] if len(set(own)) > 1 else ["threshold"]
    items: list[tuple[str, object]] = list(zip(names, own, strict=False))
    more = [("objects reach down to", rule.low if rule.extent != rule.threshold else 0)]
    more += [("objects from, px", rule.min_object_px), ("holes filled to, px", rule.max_hole_px)]
    return items + [(name, value) for name, value in more if value]


def _score_table(scores: Sequence[CaseScore], classes: Sequence[str]) -> Table:
    rows = [score.row() for score in scores] + summary_rows(scores, classes)
    columns = [column for column in score_columns(scores) if len(classes) > 1 or column != "class"]
    note = VOLUME_NOTE if are_volumes(scores) else NOTE
    return Table("Scores", columns, [[row.get(column, "") for column in columns] for row in rows], note)


def _dice_by_class(results: Results, scores: Sequence[CaseScore], classes: Sequence[str]) -> Pictures:
    dice = {name: [score.confusion.dice for score in scores if score.class_name == name] for name in classes}
    plot_strip(dice, "Dice by class", "Dice of a case", results.dice_by_class)
    plot_bars(_dice_by_case(scores), "Dice by case", "Dice", results.dice_by_case)
    items = [("each dot is a case", results.dice_by_class), ("each bar is a case", results.dice_by_case)]
    return Pictures("Dice by class and by case", items)


def _case_pictures(
    results: Results, case_ids: Sequence[str], scores: Sequence[CaseScore], classes: Sequence[str]
) -> list[Section]:
    drawn = [case_id for case_id in case_ids if results.overlay(case_id).exists()]
    if not drawn:
        return [Text("Cases", ["No case was predicted."])]
    dice = _dice_by_case(scores)
    worst_first = sorted(drawn, key=lambda case_id: (dice.get(case_id, 2.0), case_id))[:SHOWN_CASES]
    captions = [f"{each}, Dice {dice[each]:.3f}" if each in dice else each for each in worst_first]
    legend = _legend(bool(scores), len(classes) > 1) + THREE_VIEWS * are_volumes(scores)
    more = f", the {SHOWN_CASES} of lowest Dice" if len(drawn) > SHOWN_CASES else ""
    overlays = [results.overlay(case_id) for case_id in worst_first]
    cases = Pictures(f"Cases ({legend}{more})", list(zip(captions, overlays, strict=True)))
    return [*_extremes(results, case_ids, dice), cases]


def _dice_by_case(scores: Sequence[CaseScore]) -> dict[str, float]:
    return {score.id: pooled_confusion([each for each in scores if each.id == score.id]).dice for score in scores}


def _extremes(results: Results, case_ids: Sequence[str], dice: Mapping[str, float]) -> list[Section]:
    """The errors of the best, the median and the worst case, as far as these are different ones."""
    drawn = [case_id for case_id in case_ids if case_id in dice and results.errors(case_id).exists()]
    if not drawn:
        return []
    order = sorted(drawn, key=lambda case_id: (-dice[case_id], case_id))
    places = {"best": 0, "worst": len(order) - 1, "median": len(order) // 2}
    chosen = {order[place]: name for name, place in reversed(places.items())}
    items = [
        (f"{chosen[each]}: {each}, Dice {dice[each]:.3f}", results.errors(each)) for each in order if each in chosen
    ]
    return [Pictures("What is right and what is wrong in the best, median and worst case", items)]


def _tissue_pictures(results: Results, case_ids: Sequence[str]) -> list[Section]:
    drawn = [case_id for case_id in case_ids if results.tissue(case_id).exists()][:SHOWN_CASES]
    items = [(case_id, results.tissue(case_id)) for case_id in drawn]
    return [Pictures("Tissue and the patches that were predicted", items)] if items else []


def _legend(labelled: bool, several: bool) -> str:
    if several:
        return "wide lines: labels, slim lines: prediction" if labelled else "lines: prediction"
    return "green: labels, orange: prediction" if labelled else "orange: prediction"


def _files(results: Results, case_ids: Sequence[str]) -> list[Section]:
    """A table of links to what lies in the folder, beside which the page is."""
    kinds: list[tuple[str, Callable[[str], Path]]] = [
        ("mask", results.mask),
        ("OME-TIFF", results.ome),
        ("GeoJSON", lambda case_id: find_geojson(results.geojson(case_id))),
        ("objects", results.objects),
        ("preview", results.preview),
        ("NIfTI", results.nifti),
        ("GIF", results.gif),
        ("overlay", results.overlay),
        ("errors", results.errors),
    ]
    paths = [[make(case_id) for _, make in kinds] for case_id in case_ids]
    links = [
        [Link(path.name, path.relative_to(results.root)) if path.exists() else "" for path in row] for row in paths
    ]
    used = [place for place in range(len(kinds)) if any(row[place] for row in links)]
    rows = [[case_id, *(row[place] for place in used)] for case_id, row in zip(case_ids, links, strict=True)]
    return [Table("Files", ["id", *(kinds[place][0] for place in used)], rows)] if used else []
