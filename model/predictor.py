"""From raw patches to probabilities: networks with their own normalisation, averaged, over flips and turns."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from yacs.config import CfgNode

from model.checkpoints import SUFFIX, ModelCard, build_card, load_checkpoint
from model.custom_models import build_network, load_state, read_weights

SEED_SUFFIXES = (".pth", ".pt")


@dataclass(frozen=True)
class View:
    """One way to look at a patch: mirrored along some spatial axes, then perhaps with the last two axes swapped."""

    mirrored: tuple[int, ...] = ()
    swapped: bool = False

    def apply(self, patches: torch.Tensor) -> torch.Tensor:
        """Patches (N, C, *) seen this way."""
        seen = patches.flip([axis + 2 for axis in self.mirrored])
        return seen.transpose(-1, -2) if self.swapped else seen

    def undo(self, patches: torch.Tensor) -> torch.Tensor:
        """Patches (N, K, *) turned back."""
        straight = patches.transpose(-1, -2) if self.swapped else patches
        return straight.flip([axis + 2 for axis in self.mirrored])


def views(kind: str, axes: int) -> list[View]:
    """The views of TEST.TTA for images of `axes` spatial axes."""
    flips = [View(m) for n in range(axes + 1) for m in itertools.combinations(range(axes), n)]
    table = {
        "none": flips[:1],
        "flips": flips,
        "dihedral": [replace(f, swapped=s) for f in flips for s in (False, True)],
    }
    return table[kind]


@dataclass(frozen=True)
class Member:
    """A network and the card that came with it."""

    network: nn.Module
    card: ModelCard


class Predictor:
    """Mean probability of all members over all views: (N, C, *) uint8 -> (N, K, *) float32 in [0, 1].

    The one place where a logit becomes a probability.
    """

    def __init__(self, members: Sequence[Member], tta: str = "none", device: str = "cpu"):
        self.members = members
        self.tta = tta
        self.device = torch.device(device)
        for member in members:
            member.network.eval().to(self.device)

    @torch.inference_mode()
    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        images = torch.from_numpy(np.ascontiguousarray(patches)).to(self.device).float() / 255
        looks = views(self.tta, patches.ndim - 2)
        total = sum(self._look(member, view, images) for member in self.members for view in looks)
        return (total / (len(self.members) * len(looks))).cpu().numpy()

    def _look(self, member: Member, view: View, images: torch.Tensor) -> torch.Tensor:
        per_channel = (1, -1, *(1,) * (images.ndim - 2))
        mean = torch.tensor(member.card.mean, device=self.device).reshape(per_channel)
        std = torch.tensor(member.card.std, device=self.device).reshape(per_channel)
        seen = view.apply((images - mean) / std)
        if seen.ndim == 4:
            seen = seen.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            logits = member.network(seen)
        return view.undo(logits.float().sigmoid())


def load_members(cfg: CfgNode, folder: Path) -> list[Member]:
    """All networks of a weights folder; raises ValueError where there are none or where they do not fit together.

    A plain state dict (.pth) says nothing of itself: the config then stands for its card.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix in (SUFFIX, *SEED_SUFFIXES))
    if not paths:
        raise ValueError(f"TEST.MODEL_WEIGHTS_FOLDER {folder} holds no {SUFFIX} or .pth file")
    members = [load_member(cfg, path) for path in paths]
    for path, member in zip(paths[1:], members[1:], strict=True):
        refuse_mixture(paths[0], members[0].card, path, member.card)
    return members


def load_member(cfg: CfgNode, path: Path) -> Member:
    """The network of one weights file, with its card."""
    if path.suffix == SUFFIX:
        state, card = load_checkpoint(path)
    else:
        state, card = read_weights(path), _card_of_config(cfg, path)
    network = build_network(card.architecture, card.encoder_name, None, card.in_channels, len(card.classes))
    load_state(network, state, path.name)
    return Member(network.to(memory_format=torch.channels_last), card)


def refuse_mixture(first_path: Path, first: ModelCard, path: Path, card: ModelCard) -> None:
    """Raise ValueError naming what two weights files disagree on that an average cannot bridge."""
    for name in ("classes", "in_channels", "reduction", "spacing_um"):
        mine, theirs = getattr(first, name), getattr(card, name)
        if mine != theirs:
            raise ValueError(f"{first_path.name} has {name} {mine} and {path.name} {theirs}; they cannot be averaged")


def tuned_threshold(members: Sequence[Member]) -> float:
    """Mean of the thresholds that the weights carry; raises ValueError where one carries none."""
    known = [member.card.threshold for member in members if member.card.threshold is not None]
    if len(known) < len(members):
        raise ValueError("the weights carry no tuned threshold; set TEST.TH (for example 0.5)")
    return sum(known) / len(known)


def _card_of_config(cfg: CfgNode, path: Path) -> ModelCard:
    if not (cfg.INPUT.MEAN and cfg.INPUT.STD):
        raise ValueError(f"{path.name} does not say its normalisation; set INPUT.MEAN and INPUT.STD")
    return build_card(cfg, cfg.INPUT.MEAN, cfg.INPUT.STD, cfg.TILES.SPACING_UM or None)


def best_device() -> str:
    """The GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"
