"""From cases to fastai's DataLoaders, one pair of training and validation loaders a fold."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from fastai.data.core import DataLoaders
from yacs.config import CfgNode

from data.cases import Case, has_split
from data.patches.cache import build_cache
from data.patches.crops import Cropping, CropSample, list_crops
from data.patches.dataset import Order, PatchDataset, Read, Sample, TileSample, list_patches, read_whole
from data.patches.folds import NEVER, assign_folds, check_sides, listed_folds, reused_folds, validated_folds
from data.patches.sampling import BY_SLICE, Content, build_contents, build_mixture
from data.patches.scale import build_scale
from data.patches.shares import SharedLoader
from data.patches.slice_order import order_slices
from data.patches.statistics import PixelStatistics
from data.patches.tiles import agreed_spacing, build_tile_folder, read_tiles
from data.patches.training_set import TrainingSet
from data.patches.transforms import build_transform
from data.patches.volume_draws import build_volume_draws
from data.patches.volume_transforms import build_volume_transform
from data.patches.volumes import build_volumes
from data.sources.kept_open import KeptOpen
from data.sources.opening import build_reader
from data.volume_cases import VOLUME_AXES, learns_from_volumes
from utils.diffusion import build_diffusion
from utils.failures import Failure, Failures
from utils.progress import track
from utils.ranks import own_rank, rank_count

log = logging.getLogger(__name__)


class NothingToLearnError(ValueError):
    """No sample of any case."""


def build_training_set(cfg: CfgNode, cases: Sequence[Case], failures: Failures) -> TrainingSet:
    """Tiles of the slides, or patches of the pairs; a case that cannot be used becomes a failure.

    Raises NothingToLearnError where no sample is left.
    """
    of_volumes = learns_from_volumes(cfg.MODEL.AXES, cfg.INPUT.FROM)
    if of_volumes:
        found = build_volumes(cfg, cases, failures)
    else:
        from_tiles = cfg.DATASETS.LAYOUT == "slides" and cfg.INPUT.FROM == "tiles"
        make = _crops if cfg.INPUT.FROM == "crops" else _tiles if from_tiles else _patches
        found = make(cfg, cases, failures)
    if not found.samples:
        raise NothingToLearnError("there is nothing to learn from: no tile or pair of any case can be used")
    samples = found.samples if of_volumes else build_cache(cfg, found.samples)
    return replace(
        found,
        samples=samples,
        contents=found.contents or build_contents(cfg, samples),
        mean=cfg.INPUT.MEAN or found.mean,
        std=cfg.INPUT.STD or found.std,
    )


def _tiles(cfg: CfgNode, cases: Sequence[Case], failures: Failures) -> TrainingSet:
    folder = build_tile_folder(cfg)
    rows, card = read_tiles(folder)
    if card["classes"] != list(cfg.DATASETS.CLASSES):
        raise ValueError(f"{folder.card} has classes {card['classes']}, the config {list(cfg.DATASETS.CLASSES)}")
    for case in cases:
        if case.id not in card["cases"]:
            failures.add(Failure(case.id, case.image.name, f"was not cut; see {folder.root / 'failures.csv'}"))
    ids = {case.id for case in cases} & set(card["cases"])
    samples = [
        TileSample(row.tile, row.id, folder.images / row.tile, folder.masks / row.tile) for row in rows if row.id in ids
    ]
    foreground = dict.fromkeys((row.id for row in rows), 0.0)
    for row in rows:
        foreground[row.id] += row.foreground * folder.size**2
    return TrainingSet(samples, card["mean"], card["std"], card["spacing_um"], frozenset(ids), foreground)


def _patches(cfg: CfgNode, cases: Sequence[Case], failures: Failures) -> TrainingSet:
    reader, scale = build_reader(cfg), build_scale(cfg)
    samples: list[Sample] = []
    foreground: dict[str, float] = {}
    statistics = PixelStatistics()
    for case in cases:
        with failures.guard(case.id, case.image.name):
            own, foreground[case.id] = list_patches(
                case, reader, scale, cfg.INPUT.SIZE_TRAIN, cfg.TILES.OVERLAP, statistics
            )
            samples += own
    ids = frozenset(sample.case_id for sample in samples)
    return TrainingSet(samples, statistics.mean, statistics.std, cfg.TILES.SPACING_UM or None, ids, foreground)


def _crops(cfg: CfgNode, cases: Sequence[Case], failures: Failures) -> TrainingSet:
    reader, folder, statistics = build_reader(cfg), build_tile_folder(cfg), PixelStatistics()
    opened = KeptOpen(reader)
    samples: list[CropSample] = []
    spacings: dict[str, float | None] = {}
    for case in track(cases, "cases", len(cases)):
        with failures.guard(case.id, case.image.name):
            own, spacings[case.id] = list_crops(case, reader, opened, folder, statistics)
            samples += own
    foreground = dict.fromkeys(spacings, 0.0)
    for sample in samples:
        foreground[sample.case_id] += sample.content.area
    spacing_um = agreed_spacing(folder.scale, spacings)
    contents = {sample.name: sample.content for sample in samples}
    ids = frozenset(spacings)
    return TrainingSet(samples, statistics.mean, statistics.std, spacing_um, ids, foreground, contents)


def build_folds(cfg: CfgNode, cases: Sequence[Case], data: TrainingSet) -> dict[str, int]:
    """Fold of each case id, or NEVER: by FOLDS_CSV, the split 'valid', FOLD_GROUPS or, without these, drawn.

    A case without samples joins its group, or the first fold. Raises ValueError where a side of a fold is empty.
    """
    group_of, sampled = {case.id: case.group for case in cases}, {sample.case_id for sample in data.samples}
    learnt = {case_id: group for case_id, group in group_of.items() if case_id in sampled}
    if cfg.DATASETS.FOLDS_CSV:
        fold_of = reused_folds(group_of, Path(cfg.DATASETS.FOLDS_CSV))
    elif has_split(cfg.DATASETS.ID_CSV, "valid") or any(case.split == "valid" for case in cases):
        if cfg.DATASETS.FOLD_GROUPS:
            where = cfg.DATASETS.ID_CSV or cfg.DATASETS.WSI_FOLDER
            raise ValueError(f"{where} has the split 'valid'; then leave DATASETS.FOLD_GROUPS empty")
        fold_of = {case.id: 0 if case.split == "valid" else NEVER for case in cases}
    elif cfg.DATASETS.FOLD_GROUPS:
        fold_of = listed_folds(learnt, cfg.DATASETS.FOLD_GROUPS)
    else:
        fold_of = assign_folds(learnt, cfg.SOLVER.N_FOLDS, cfg.SEED, data.foreground)
    folds = cfg.SOLVER.FOLDS or validated_folds(fold_of.values()) or [0]
    check_sides(folds, fold_of, learnt)
    of_group = {group: fold_of[case_id] for case_id, group in learnt.items()}
    return {case_id: fold_of.get(case_id, of_group.get(group, folds[0])) for case_id, group in group_of.items()}


def build_draws(
    cfg: CfgNode, train: Sequence[Sample], data: TrainingSet, pseudo: Sequence[CropSample] = ()
) -> tuple[Sequence[Sample], Order | None, Read]:
    """What an epoch draws from, how it is drawn, and how each draw is read; `pseudo` are patches with pseudo-labels."""
    if cfg.MODEL.AXES == VOLUME_AXES and cfg.INPUT.FROM == "crops":
        return build_volume_draws(cfg, train)
    contents = [data.contents.get(sample.name, Content()) for sample in train]
    if cfg.SOLVER.SAMPLING == BY_SLICE:
        ids, count = [sample.case_id for sample in train], cfg.SOLVER.EPOCH_PATCHES or len(train)
        return train, order_slices(ids, contents, count), read_whole
    sampling = build_mixture(cfg, contents, [sample.content for sample in pseudo])
    return [*train, *pseudo], sampling, Cropping(cfg.INPUT.CROP_SCALE) if cfg.INPUT.FROM == "crops" else read_whole


def build_dataloaders(cfg: CfgNode, data: TrainingSet, fold_of: dict[str, int], fold: int) -> DataLoaders:
    """Loaders of one fold: augmented, shuffled training patches and plain validation patches.

    Batches are images (N, C, *) float32 and targets (N, K, *) uint8, float32 in training with soft pseudo-labels.
    """
    train = data.of({case_id for case_id, own in fold_of.items() if own != fold})
    valid = data.of({case_id for case_id, own in fold_of.items() if own == fold})
    pseudo = data.pseudo.get(fold, ())
    classes = len(cfg.DATASETS.CLASSES)
    transform = build_volume_transform(cfg) if cfg.MODEL.AXES == VOLUME_AXES else build_transform(cfg)
    drawn, sampling, read = build_draws(cfg, train, data, pseudo)
    more, labelled = f" and {len(pseudo)} with pseudo-labels" * bool(pseudo), len(drawn) - len(pseudo)
    log.info("fold %d: %d patches%s to train on, %d to validate on", fold, labelled, more, len(valid))
    seed, cutmix, diffusion = cfg.SEED + fold, cfg.AUGMENTATION.CUTMIX, build_diffusion(cfg)
    is_soft = bool(pseudo) and cfg.SOLVER.PSEUDO == "soft"
    train_set = PatchDataset(
        *(drawn, data.mean, data.std, classes, transform, seed, cutmix, sampling, read),
        soft=is_soft,
        diffusion=diffusion,
    )
    valid_set = PatchDataset(valid, data.mean, data.std, classes, diffusion=diffusion)
    batch, workers, count = cfg.SOLVER.BATCH_SIZE, worker_count(cfg.SOLVER.NUM_WORKERS), rank_count()
    batch = min(batch, len(train_set) // count * count)
    if batch == 0:
        raise ValueError(
            f"fold {fold} has {len(train_set)} patches an epoch to train on, too few for {count} processes"
        )
    return DataLoaders(
        SharedLoader(train_set, batch, own_rank(), count, shuffle=True, num_workers=workers),
        SharedLoader(valid_set, batch, own_rank(), count, shuffle=False, num_workers=workers),
    )


def worker_count(asked: int) -> int:
    """The processes that load patches where so many are asked for; -1 is two beside a GPU and none on a CPU."""
    return asked if asked >= 0 else 2 * torch.cuda.is_available()
