"""Weights in one safe file: tensors, and beside them all that prediction has to know."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from yacs.config import CfgNode

from utils.atomic import atomic_path

FORMAT = "glomeruli-segmentation 1"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ModelCard:
    """What a weights file says of itself.

    Mean and std are by channel, 0 to 1; the scale is a reduction of level 0 (0 if only
    a pixel size was asked for) and, where known, the pixel size in um;
    the threshold is None until it was tuned out of fold; `config` is the run's whole config as YAML.
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
    fold: int = 0
    epoch: int = 0
    valid_dice: float = 0.0
    validation_ids: tuple[str, ...] = ()
    config: str = ""


def build_card(cfg: CfgNode, mean: Sequence[float], std: Sequence[float], spacing_um: float | None = None) -> ModelCard:
    """The card of networks that are trained with a config on data of the given mean, std and pixel size."""
    return ModelCard(
        architecture=cfg.MODEL.ARCHITECTURE,
        encoder_name=cfg.MODEL.ENCODER_NAME,
        in_channels=cfg.MODEL.IN_CHANNELS,
        classes=tuple(cfg.DATASETS.CLASSES),
        mean=tuple(mean),
        std=tuple(std),
        reduction=0.0 if cfg.TILES.SPACING_UM else cfg.TILES.REDUCTION,
        spacing_um=spacing_um,
        config=cfg.dump(sort_keys=False),
    )


def save_checkpoint(path: Path, state: Mapping[str, torch.Tensor], card: ModelCard) -> None:
    """Write tensors and card to a safetensors file, in one step; equal content gives equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    entry = json.dumps({"format": FORMAT, **asdict(card)})  # of several entries the order is left to chance
    with atomic_path(path) as draft:
        draft.write_bytes(save(tensors, {"card": entry}))


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], ModelCard]:
    """Tensors and card of a file; raises ValueError naming the file when it is none of ours or damaged."""
    card = load_card(path)
    return load_file(path), card


def load_card(path: Path) -> ModelCard:
    """The card alone, without reading the tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        values = {**metadata, **json.loads(metadata.get("card", "{}"))}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is no readable weights file: {error}") from error
    if values.get("format") != FORMAT:
        raise ValueError(f"{path} has format {values.get('format')!r}; this program reads {FORMAT!r}")
    known = {field.name for field in fields(ModelCard)}
    return ModelCard(**{name: _tuple(value) for name, value in values.items() if name in known})


def set_threshold(path: Path, threshold: float) -> None:
    """Keep the tuned threshold with the weights."""
    state, card = load_checkpoint(path)
    save_checkpoint(path, state, replace(card, threshold=threshold))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
