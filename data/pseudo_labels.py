"""Pseudo-labels: what the network of each fold said of unlabelled images, to learn from in that fold alone."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from data.cases import Case, list_unlabelled_cases
from data.patches.crops import CropSample, reach
from data.patches.folds import validated_folds
from data.patches.grid import Box
from data.patches.sampling import Content, measure
from data.patches.scale import Scale
from data.patches.soft import soften
from data.patches.tiles import TileFolder, build_tile_folder
from data.sources.kept_open import KeptOpen
from data.sources.labels import IGNORE
from data.sources.opening import CaseReader, build_reader
from data.sources.source import ScaledSource, Source, SourceError
from data.stitching.mask import to_classes, to_levels
from data.stitching.probability_map import ProbabilityMap, open_map
from data.writers.results import Results
from utils.atomic import write_text
from utils.failures import Failures
from utils.progress import track


@dataclass(frozen=True)
class FoldCard:
    """Which network made the maps of a folder: fold, classes, scale, threshold of each class, and what it held out.

    `weights` is the SHA-256 of its file, `options` the options that the maps depend on besides.
    """

    fold: int
    classes: tuple[str, ...]
    reduction: float
    spacing_um: float | None
    thresholds: tuple[float, ...]
    validation_ids: tuple[str, ...]
    weights: str
    options: Mapping[str, Any]
    reductions: tuple[float, ...] = ()
    spacings_um: tuple[float, ...] = ()
    sides: tuple[int, ...] = ()

    @property
    def scale(self) -> Scale:
        """The scale of the network."""
        return Scale(self.reduction, self.spacing_um or 0.0, self.reductions, self.spacings_um, self.sides)


def fold_folder(root: Path, fold: int) -> Path:
    """Where the maps by the network of a fold lie, with its card."""
    return root / f"fold{fold}"


def card_path(root: Path, fold: int) -> Path:
    """The card of a fold's maps."""
    return fold_folder(root, fold) / "card.json"


def write_card(root: Path, card: FoldCard) -> None:
    """Leave a card with the maps of its fold; raises ValueError where they were made by others or otherwise."""
    path, text = card_path(root, card.fold), json.dumps(asdict(card), indent=2) + "\n"
    if path.exists():
        before, now = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
        changed = sorted(key for key in now if before.get(key) != now[key])
        if changed:
            raise ValueError(f"the maps in {path.parent} were made with other {changed}; remove it to make them anew")
    write_text(path, text)


def read_card(root: Path, fold: int) -> FoldCard:
    """The card of a fold's maps; raises ValueError where there is none, or that of another fold."""
    path = card_path(root, fold)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        card = FoldCard(**{each.name: _tuple(values[each.name]) for each in fields(FoldCard)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        about = f"DATASETS.PSEUDO_LABELS {root} holds nothing that fold {fold} could learn from: {path} is missing"
        raise ValueError(f"{about} or unreadable; make it with python -m apps.pseudo_labels") from error
    if card.fold != fold:
        raise ValueError(
            f"the maps in {path.parent} were made by fold {card.fold}; fold {fold} may not learn from them"
        )
    return card


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Harden:
    """Class indices of probabilities: what reaches the upper level of its class, IGNORE down to the lower ones."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Class indices (*spatial) uint8 of (*spatial, K) uint8."""
        classes = to_classes(probabilities, np.array(self.upper))
        classes[(classes == 0) & (to_classes(probabilities, np.array(self.lower)) > 0)] = IGNORE
        return classes


def harden_about(thresholds: Sequence[float], margin: float) -> Harden:
    """What tells objects from background where a probability is at least `margin` off the threshold of its class."""
    upper = to_levels([min(1.0, each + margin) for each in thresholds], len(thresholds))
    lower = to_levels([max(0.0, each - margin) for each in thresholds], len(thresholds))
    return Harden(tuple(upper.tolist()), tuple(lower.tolist()))


class MapLabels(Source):
    """A probability map where labels would be; its pixels are probabilities (*, K) uint8 at the network's scale."""

    def __init__(self, probabilities: ProbabilityMap):
        self.probabilities = probabilities
        self.level_shapes = (probabilities.shape,)
        self.channels = len(probabilities.frame.classes)

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Probabilities (*box.size, K)."""
        return self.probabilities.read(box)


@dataclass(frozen=True)
class PseudoReader(CaseReader):
    """Opens an image with the map of it in a folder of results."""

    maps: Path = Path()

    def open_labels(self, case: Case, image: Source) -> Source:
        """The map; raises SourceError where there is none, or one of another image or other classes."""
        path = Results(self.maps).probabilities(case.id)
        if not path.exists():
            raise SourceError(f"{path} is missing; make it with python -m apps.pseudo_labels")
        probabilities = open_map(path)
        box, shape = image.frame_level0
        frame = probabilities.frame
        if (frame.start_level0, frame.size_level0, frame.shape_level0) != (box.start, box.size, shape):
            raise SourceError(f"{path} is the map of another image than {case.image.name}; remove it and make it anew")
        if list(frame.classes) != self.classes:
            raise SourceError(f"{path} has classes {list(frame.classes)}; DATASETS.CLASSES is {self.classes}")
        return MapLabels(probabilities)


@dataclass(frozen=True)
class PseudoSample(CropSample):
    """A patch of an unlabelled image, whose mask is class indices or, if `is_soft`, fractions of each class."""

    harden: Harden = Harden((128,), (128,))
    is_soft: bool = False

    def cut(self, source: Source, labels: Source) -> tuple[np.ndarray, np.ndarray]:
        """Image, and class indices or fractions (*, K), from the opened image and its map."""
        image = ScaledSource(source, self.shape).read(self.box)
        return image, self._padded(soften(self._probabilities(labels))) if self.is_soft else self.cut_mask(labels)

    def cut_mask(self, labels: Source) -> np.ndarray:
        """Class indices from the opened map, soft or not."""
        return self._padded(self.harden(self._probabilities(labels)))

    def _probabilities(self, labels: Source) -> np.ndarray:
        assert isinstance(labels, MapLabels)
        return labels.probabilities.on_frame(self.shape).read(self.box.within(self.shape))

    def _padded(self, mask: np.ndarray) -> np.ndarray:
        missing = [(0, wide - have) for wide, have in zip(self.box.size, mask.shape, strict=False)]
        channel = [(0, 0)] * (mask.ndim - len(missing))
        return np.pad(mask, [*missing, *channel], constant_values=IGNORE)  # those pixels of the image are mirrored


@dataclass(frozen=True)
class PseudoLabels:
    """Unlabelled cases and their patches by the fold that may learn from them; `folders` hold the maps."""

    cases: Sequence[Case] = ()
    samples: Mapping[int, Sequence[PseudoSample]] = field(default_factory=dict)
    folders: Sequence[Path] = ()


def build_pseudo_labels(
    cfg: CfgNode, cases: Sequence[Case], fold_of: Mapping[str, int], failures: Failures
) -> PseudoLabels:
    """What the folds may learn from besides their labelled `cases`; none without DATASETS.PSEUDO_LABELS.

    A fold learns from the maps of its own network only, and not from images of groups that it validates on. An image
    that cannot be used becomes a failure. Raises ValueError where maps or ids do not go with the run.
    """
    if not cfg.DATASETS.PSEUDO_LABELS:
        return PseudoLabels()
    root, folds = Path(cfg.DATASETS.PSEUDO_LABELS), cfg.SOLVER.FOLDS or validated_folds(fold_of.values())
    reader, folder, is_soft = build_reader(cfg), build_tile_folder(cfg), cfg.SOLVER.PSEUDO == "soft"
    held_out = {fold: [case for case in cases if fold_of[case.id] == fold] for fold in folds}
    listings = {}
    for fold in folds:
        card = read_card(root, fold)
        check_card(card, folder, reader.classes, [case.id for case in held_out[fold]])
        own = PseudoReader(**vars(reader), maps=fold_folder(root, fold))
        listings[fold] = _Listing(own, folder, harden_about(card.thresholds, cfg.SOLVER.PSEUDO_MARGIN), is_soft)
    table = list_unlabelled_cases(cfg)
    refuse_labelled(table.cases, [case.id for case in cases])
    for problem in table.problems:
        failures.add(problem)
    samples: dict[int, list[PseudoSample]] = {fold: [] for fold in folds}
    for case in track(table.cases, "unlabelled cases", len(table.cases)):
        seen = {fold for fold in folds if case.group in {each.group for each in held_out[fold]}}
        with failures.guard(case.id, case.image.name):
            for fold, found in [(fold, listings[fold].list(case)) for fold in folds if fold not in seen]:
                samples[fold] += found
    for fold in folds:
        if not samples[fold]:
            raise ValueError(f"fold {fold} has nothing to learn from in {fold_folder(root, fold)}")
    usable = [case for case in table.cases if case.id not in failures.ids]
    return PseudoLabels(usable, samples, [fold_folder(root, fold) / "probabilities" for fold in folds])


def check_card(card: FoldCard, folder: TileFolder, classes: Sequence[str], validated: Collection[str]) -> None:
    """Raise ValueError where maps are of other classes or scale, or by a network that learnt from `validated` cases."""
    if list(card.classes) != list(classes):
        raise ValueError(f"the pseudo-labels of fold {card.fold} have classes {list(card.classes)}, not {classes}")
    wanted = folder.scale
    if wanted != (card.scale if wanted.spacing_um else replace(card.scale, spacing_um=0.0)):
        raise ValueError(
            f"the pseudo-labels of fold {card.fold} were made at {card.scale.suffix}, TILES asks for {wanted.suffix}"
        )
    leaked = sorted(set(validated) - set(card.validation_ids))
    if leaked:
        raise ValueError(
            f"fold {card.fold} validates on {leaked[:8]}, which the network that made its pseudo-labels did not hold"
            " out; set DATASETS.FOLDS_CSV to the folds.csv of that run"
        )


def refuse_labelled(cases: Sequence[Case], labelled: Collection[str]) -> None:
    """Raise ValueError for unlabelled cases that have the id of a labelled one."""
    both = sorted({case.id for case in cases} & set(labelled))
    if both:
        raise ValueError(
            f"DATASETS.UNLABELLED_FOLDER has {both[:8]}, which are labelled; leave these out or rename them"
        )


class _Listing:
    """Lists the patches of images with the maps of one fold."""

    def __init__(self, reader: PseudoReader, folder: TileFolder, harden: Harden, is_soft: bool):
        self.reader = reader
        self.folder = folder
        self.harden = harden
        self.is_soft = is_soft
        self.opened = KeptOpen(reader)

    def list(self, case: Case) -> list[PseudoSample]:
        """Patches of the grid with enough tissue; raises what opening the image or its map raises."""
        samples, rule = [], self.folder.tissue
        with self.reader.open_both(case) as (source, labels):
            tissue, shape = rule.find(source, case.id), labels.shape
            for grid in self.folder.grids(shape):
                for number, box in grid:
                    if tissue is None or tissue.fraction(box, shape) >= rule.min_fraction:
                        samples.append(self._sample(case, number, box, labels))
        return samples

    def _sample(self, case: Case, number: int, box: Box, labels: Source) -> PseudoSample:
        shape, name = labels.shape, f"{case.id}_{number}"
        place = (name, case, box, shape, self.opened, reach(self.folder, shape))
        content = measure(PseudoSample(*place, Content(), self.harden).cut_mask(labels))
        return PseudoSample(*place, content, self.harden, self.is_soft)
