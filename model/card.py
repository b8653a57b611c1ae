"""What a weights file says of its network: all that prediction has to know, as text beside the weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from model.card_rules import card_mistakes
from model.network_options import NetworkOptions, build_network_options
from utils.diffusion import build_diffusion

FORMAT = "glomeruli-segmentation 1"
# where and how a run computes, whatever it computes
NO_EFFECT = (
    "OUTPUT_DIR",
    "RUN_NAME",
    "DATASETS.HASHES",
    "SOLVER.NUM_WORKERS",
    "SOLVER.CACHE",
    "SOLVER.CACHE_GB",
    "SOLVER.CHECKPOINT_MINUTES",
    "SOLVER.LOGGERS",
    "SOLVER.SAMPLES_EVERY",
    "SOLVER.FIND_LR",
    "SERVE",  # the whole group
)
ENTRY = "card"  # the one entry of a file's metadata: of several entries the order is left to chance


@dataclass(frozen=True)
class ModelCard:
    """What a weights file says of itself.

    Mean and std are by channel, 0 to 1; the scale is a reduction of level 0 (0 if only
    a pixel size was asked for) and, where known, the pixel size in um;
    the threshold is None until it was tuned out of fold; those of the classes, the lower one (TEST.TH_LOW) and the
    sizes of objects and holes are there if they were tuned, too; a scale by axis is in `reductions`, `spacings_um` or
    `sides`, `intensity` is a volume's rule with its numbers, `patch` the sides of its patches, `head_px` the side of
    its head, if it is cut to that, and `diffusion` what smooths raw pixels (steps, step, kappa); `config` is the run's
    config as YAML, without what has no effect on the weights, so that a run repeated elsewhere gives the same file;
    `network` is how the network is built.
    """

    architecture: str
    encoder_name: str
    in_channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reduction: float
    spacing_um: float | None = None
    threshold: float | None = None
    thresholds: tuple[float, ...] = ()
    low: float = 0.0
    min_object_px: int = 0
    max_hole_px: int = 0
    fold: int = 0
    epoch: int = 0
    valid_dice: float = 0.0
    validation_ids: tuple[str, ...] = ()
    config: str = ""
    reductions: tuple[float, ...] = ()
    spacings_um: tuple[float, ...] = ()
    sides: tuple[int, ...] = ()
    intensity: tuple[str | float, ...] = ()
    diffusion: tuple[float, ...] = ()
    network: NetworkOptions = field(default_factory=NetworkOptions)
    patch: tuple[int, ...] = ()
    head_px: int = 0


def build_card(
    cfg: CfgNode,
    mean: Sequence[float],
    std: Sequence[float],
    spacing_um: float | None = None,
    fold: int = 0,
    validation_ids: tuple[str, ...] = (),
    patch: tuple[int, ...] = (),
) -> ModelCard:
    """The card of networks that are trained with a config on data of the given mean, std, pixel size and patches."""
    return ModelCard(
        architecture=cfg.MODEL.ARCHITECTURE,
        encoder_name=cfg.MODEL.ENCODER_NAME,
        in_channels=cfg.MODEL.IN_CHANNELS,
        classes=tuple(cfg.DATASETS.CLASSES),
        mean=tuple(mean),
        std=tuple(std),
        spacing_um=spacing_um,
        fold=fold,
        validation_ids=validation_ids,
        config=_with_effect(cfg).dump(sort_keys=False),
        **_scale(cfg.TILES),
        intensity=_intensity(cfg.INPUT),
        diffusion=build_diffusion(cfg),
        network=build_network_options(cfg),
        patch=patch or tuple(cfg.INPUT.PATCH),
        head_px=cfg.INPUT.HEAD_PX,
    )


def _scale(tiles: CfgNode) -> dict[str, Any]:
    """The scale by axis that TILES asks for first, or the reduction where it asks for none."""
    sides, spacings_um = tuple(tiles.SIDES), () if tiles.SIDES else tuple(map(float, tiles.SPACINGS_UM))
    reductions = () if sides or spacings_um else tuple(map(float, tiles.REDUCTIONS))
    reduction = 0.0 if sides or spacings_um or reductions or tiles.SPACING_UM else tiles.REDUCTION
    return {"reduction": reduction, "sides": sides, "spacings_um": spacings_um, "reductions": reductions}


def _intensity(options: CfgNode) -> tuple[str | float, ...]:
    numbers = {"window": options.WINDOW, "percentiles": options.PERCENTILES}.get(options.INTENSITY, ())
    return (options.INTENSITY, *map(float, numbers)) if options.INTENSITY else ()


def _with_effect(config: CfgNode) -> CfgNode:
    config = config.clone()
    for key in NO_EFFECT:
        *groups, name = key.split(".")
        del (config[groups[0]] if groups else config)[name]
    return config


def encode_card(card: ModelCard) -> dict[str, str]:
    """The card as the metadata of a file."""
    return {ENTRY: json.dumps({"format": FORMAT, **asdict(card)})}


def decode_card(metadata: Mapping[str, str], path: Path) -> ModelCard:
    """The card in the metadata of the file `path`; raises ValueError naming the file where there is no true one."""
    try:
        values = {**metadata, **json.loads(metadata.get(ENTRY, "{}"))}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is no readable weights file: {error}") from error
    if values.get("format") != FORMAT:
        raise ValueError(f"{path} has format {values.get('format')!r}; this program reads {FORMAT!r}")
    known = {each.name for each in fields(ModelCard)}
    try:
        card = ModelCard(**{name: _field(name, value) for name, value in values.items() if name in known})
    except TypeError as error:
        raise ValueError(f"{path} has a damaged card: {error}") from error
    mistakes = list(card_mistakes(card))
    if mistakes:
        raise ValueError(f"{path} has a damaged card: {'; '.join(mistakes)}")
    return card


def _field(name: str, value: Any) -> Any:
    if name == "network":
        return NetworkOptions(**value)
    return tuple(value) if isinstance(value, list) else value
