"""From raw patches to probabilities: networks with their own normalisation, averaged, over flips and turns."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from yacs.config import CfgNode

from model.card import ModelCard, build_card
from model.network_options import raster
from utils.resample import axis_weights, resample

if TYPE_CHECKING:
    from torch import nn

TORCH_SUFFIXES = (".safetensors", ".pth", ".pt")
ONNX_SUFFIXES = (".onnx",)
SUFFIXES = {
    "auto": (*TORCH_SUFFIXES, *ONNX_SUFFIXES),
    "onnx": ONNX_SUFFIXES,
    "openvino": ONNX_SUFFIXES,
}  # by TEST.ENGINE

SLACK = 1e-3  # a probability of low precision may lie so far off
SIZES = ("min_object_px", "max_hole_px")
# (N, C, *) uint8, or float32 of the same scale, contiguous -> (N, K, *) float32 in [0, 1]
Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """One way to look at a patch: mirrored along some spatial axes, then perhaps with the last two axes swapped."""

    mirrored: tuple[int, ...] = ()
    swapped: bool = False

    def apply(self, patches: np.ndarray) -> np.ndarray:
        """Patches (N, C, *) seen this way."""
        seen = np.flip(patches, tuple(axis + 2 for axis in self.mirrored))
        return seen.swapaxes(-1, -2) if self.swapped else seen

    def undo(self, patches: np.ndarray) -> np.ndarray:
        """Patches (N, K, *) turned back."""
        straight = patches.swapaxes(-1, -2) if self.swapped else patches
        return np.flip(straight, tuple(axis + 2 for axis in self.mirrored))


def views(kind: str, axes: int) -> list[View]:
    """The views of TEST.TTA for images of `axes` spatial axes."""
    flips = [View(m) for n in range(axes + 1) for m in itertools.combinations(range(axes), n)]
    table = {
        "none": flips[:1],
        "flips": flips,
        "dihedral": [replace(f, swapped=s) for f in flips for s in (False, True)],
    }
    return table[kind]


def at_scale(patches: np.ndarray, scale: float, steps: Sequence[int]) -> np.ndarray:
    """Patches (N, C, *) resampled by about `scale`, to the nearest sides that are multiples of `steps`, by axis."""
    sides = tuple(max(1, round(n * scale / step)) * step for n, step in zip(patches.shape[2:], steps, strict=True))
    seen = resized(patches, sides)
    return seen if seen is patches or patches.dtype != np.uint8 else np.rint(seen, out=seen).astype(np.uint8)


def resized(patches: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
    """Patches (N, C, *) stretched to other sides, float32; themselves where they have these."""
    axes = list(zip(sides, patches.shape[2:], strict=True))
    if all(new == old for new, old in axes):
        return patches
    weights = [axis_weights(0, new, new, old) if new != old else None for new, old in axes]
    return np.moveaxis(resample(np.moveaxis(patches, (0, 1), (-2, -1)), weights), (-2, -1), (0, 1))


@dataclass(frozen=True)
class Member:
    """A network, which normalises its patches itself and gives probabilities, and the card that came with it."""

    network: Network
    card: ModelCard
    name: str = "the network"  # of its file

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of patches; raises ValueError where the network gives something else."""
        found = self.network(patches)
        wanted = (len(patches), len(self.card.classes), *patches.shape[2:])
        if found.shape != wanted:
            raise ValueError(f"{self.name} gives {found.shape} for {patches.shape}; its card says {wanted}")
        low, high = float(found.min()), float(found.max())
        if not -SLACK <= low <= high <= 1 + SLACK:  # nor with NaN, which compares as false
            raise ValueError(f"{self.name} gives values from {low:g} to {high:g}, which are no probabilities")
        return found


class Predictor:
    """Mean probability of all members over all views and scales: (N, C, *) -> (N, K, *) float32 in [0, 1].

    Patches are uint8, or float32 of the same scale; their sides are multiples of `raster`, by axis.
    """

    def __init__(self, members: Sequence[Member], tta: str = "none", scales: Sequence[float] = (1.0,)):
        self.members = members
        self.tta = tta
        self.scales = scales
        rasters = [raster(member.card.architecture, member.card.network) for member in members]
        self.raster = tuple(math.lcm(*steps) for steps in zip(*rasters, strict=True))

    @property
    def at_once(self) -> int:
        """How many calls may well run side by side, in threads."""
        return min(getattr(member.network, "at_once", 1) for member in self.members)

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        looks = self._looks(patches)
        total, count = next(looks), 1
        for probabilities in looks:
            total, count = total + probabilities, count + 1
        return total / np.float32(count)

    def _looks(self, patches: np.ndarray) -> Iterator[np.ndarray]:
        """What each member says of each view at each scale, on the patches as they lie."""
        for scale in self.scales:
            seen = at_scale(patches, scale, self.raster) if scale != 1 else patches
            for member, view in itertools.product(self.members, views(self.tta, patches.ndim - 2)):
                yield resized(_look(member, view, seen), patches.shape[2:])


def build_predictor(cfg: CfgNode, members: Sequence[Member]) -> Predictor:
    """The members over the views and scales that TEST says."""
    return Predictor(members, cfg.TEST.TTA, cfg.TEST.TTA_SCALES)


def _look(member: Member, view: View, patches: np.ndarray) -> np.ndarray:
    return view.undo(member(np.ascontiguousarray(view.apply(patches))))


def load_members(cfg: CfgNode, folder: Path) -> list[Member]:
    """All networks of a weights folder; raises ValueError where there are none or where they do not fit together.

    A plain state dict (.pth) says nothing of itself: the config then stands for its card.
    """
    paths = weight_files(folder, cfg.TEST.ENGINE)
    members = [load_member(cfg, path) for path in paths]
    for path, member in zip(paths[1:], members[1:], strict=True):
        refuse_mixture(paths[0], members[0].card, path, member.card)
    return members


def weight_files(folder: Path, engine: str) -> list[Path]:
    """Files of a weights folder that TEST.ENGINE reads, or `folder` itself if it is such a file.

    Raises ValueError for none, and for two kinds if it is auto.
    """
    suffixes = SUFFIXES.get(engine, TORCH_SUFFIXES)
    found = [folder] if folder.is_file() else folder.glob("*")
    paths = sorted(path for path in found if path.suffix in suffixes)
    onnx = [path for path in paths if path.suffix in ONNX_SUFFIXES]
    if not paths:
        hint = "; export_net.py makes them" if suffixes == ONNX_SUFFIXES else ""
        raise ValueError(f"TEST.MODEL_WEIGHTS_FOLDER {folder} holds no {', '.join(suffixes)} file{hint}")
    if 0 < len(onnx) < len(paths):
        raise ValueError(
            f"TEST.MODEL_WEIGHTS_FOLDER {folder} holds torch's files and .onnx files; set TEST.ENGINE to 'torch' or "
            "'onnx', or give each kind a folder"
        )
    return paths


def load_member(cfg: CfgNode, path: Path) -> Member:
    """The network of one weights file, with its card, on the engine that TEST.ENGINE says for such files."""
    if path.suffix in ONNX_SUFFIXES:
        from model.onnx import OnnxNetwork, OpenVinoNetwork

        runtime = OpenVinoNetwork if cfg.TEST.ENGINE == "openvino" else OnnxNetwork
        network = runtime(path)
        return Member(network, network.card, path.name)
    from model.torch_network import TorchNetwork, choose_engine

    module, card = load_module(cfg, path)
    return Member(TorchNetwork(module, card, choose_engine(cfg.TEST.ENGINE)), card, path.name)


def load_module(cfg: CfgNode, path: Path) -> "tuple[nn.Module, ModelCard]":
    """The torch network of a weights file, which gives logits, with its card."""
    from model.checkpoints import load_checkpoint
    from model.custom_models import build_network, check_on_paper, load_state, read_weights

    if path.suffix == ".safetensors":
        state, card = load_checkpoint(path)
    else:
        state, card = read_weights(path), _card_of_config(cfg, path)
    build = partial(build_network, card.architecture, card.encoder_name, None)

    def make() -> "nn.Module":
        try:
            return build(card.in_channels, len(card.classes), card.network)
        except ValueError as error:
            raise ValueError(f"{path.name} has a card of no network: {error}") from error

    check_on_paper(make, state, path.name)
    module = make()
    load_state(module, state, path.name)
    return module, card


def refuse_mixture(first_path: Path, first: ModelCard, path: Path, card: ModelCard) -> None:
    """Raise ValueError naming what two weights files disagree on that an average cannot bridge."""
    if first.network.axes != card.network.axes:
        axes = f"{first.network.axes} axes and {path.name} for {card.network.axes}"
        raise ValueError(f"{first_path.name} is for {axes}; they cannot be averaged")
    for name in (
        "classes",
        "in_channels",
        "reduction",
        "spacing_um",
        "reductions",
        "spacings_um",
        "sides",
        "intensity",
        "head_px",
    ):
        mine, theirs = getattr(first, name), getattr(card, name)
        if mine != theirs:
            raise ValueError(f"{first_path.name} has {name} {mine} and {path.name} {theirs}; they cannot be averaged")


def tuned_threshold(members: Sequence[Member]) -> float | tuple[float, ...]:
    """Mean of the thresholds that the weights carry, by class if some do; raises ValueError where one carries none."""
    known = [member.card.threshold for member in members if member.card.threshold is not None]
    if len(known) < len(members):
        raise ValueError("the weights carry no tuned threshold; set TEST.TH (for example 0.5)")
    cards = [member.card for member in members]
    if not any(card.thresholds for card in cards):
        return sum(known) / len(known)
    by_class = [card.thresholds or (one,) * len(card.classes) for card, one in zip(cards, known, strict=True)]
    return tuple(sum(own) / len(own) for own in zip(*by_class, strict=True))


def tuned_cleaning(members: Sequence[Member]) -> dict[str, Any]:
    """Means of the lower threshold, the least size of objects and the largest of holes that the weights carry."""
    cards = [member.card for member in members]
    low = sum(card.low or card.threshold or 0.0 for card in cards) / len(cards)
    sizes = {name: round(sum(getattr(card, name) for card in cards) / len(cards)) for name in SIZES}
    return {"low": low if any(card.low for card in cards) else 0.0, **sizes}


def _card_of_config(cfg: CfgNode, path: Path) -> ModelCard:
    if not (cfg.INPUT.MEAN and cfg.INPUT.STD):
        raise ValueError(f"{path.name} does not say its normalisation; set INPUT.MEAN and INPUT.STD")
    return build_card(cfg, cfg.INPUT.MEAN, cfg.INPUT.STD, cfg.TILES.SPACING_UM or None)
