"""Weights in one safe file: tensors, and beside them the card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from model.card import ModelCard, decode_card, encode_card
from utils.atomic import atomic_path


def save_checkpoint(path: Path, state: Mapping[str, torch.Tensor], card: ModelCard) -> None:
    """Write tensors and card to a safetensors file, in one step; equal content gives equal bytes.

    Of a tensor that has several names in the network, only the first is written.
    """
    tensors, written = {}, set()
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.shape) if tensor.numel() else name
        if place not in written:
            tensors[name] = tensor.detach().cpu().contiguous()
        written.add(place)
    with atomic_path(path) as draft:
        draft.write_bytes(save(tensors, encode_card(card)))


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], ModelCard]:
    """Tensors and card of a file; raises ValueError naming the file when it is none of ours or damaged."""
    card = load_card(path)
    return load_file(path), card


def load_card(path: Path) -> ModelCard:
    """The card alone, without reading the tensors."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no readable weights file: {error}") from error
    return decode_card(metadata, path)


def update_card(path: Path, **changes: Any) -> None:
    """Change fields of the card that lies with the weights, such as the tuned threshold."""
    state, card = load_checkpoint(path)
    save_checkpoint(path, state, replace(card, **changes))
