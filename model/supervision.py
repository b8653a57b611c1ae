"""Further things a network is taught in training alone: the mask from inner layers, and whether a patch holds any."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from model.exclusive import exclusive
from model.network_options import RASTERS, build_network_options, raster
from utils.losses import IGNORE, Loss, bce, build_loss

UNEXT = ("dec4", "dec3", "dec2")
UNET = ("decoder.blocks.1", "decoder.blocks.2", "decoder.blocks.3")
INNER = {  # by architecture: layers whose features could be a mask
    "UneXt101": UNEXT,
    "UneXt50": UNEXT,
    "UneXt18": UNEXT,
    "UneXt": UNEXT,
    "Unet": UNET,
    "MAnet": UNET,
    "Linknet": UNET,
    # the shallower networks that a U-Net++ holds (Zhou et al., 2018)
    "UnetPlusPlus": ("decoder.blocks.x_3_3", "decoder.blocks.x_2_3", "decoder.blocks.x_1_3"),
    "monai-DynUNet": ("upsamples",),  # a list of layers
}
DEEPEST = ("encoder", "enc4")  # what gives the deepest features
SIDE = 128  # of the patch that the channels are looked up with, in two axes
CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}  # by spatial axes
MOST = 3  # layers of a list at most
LINEAR = {2: "bilinear", 3: "trilinear"}


class Supervised(nn.Module):
    """A network with heads on its inner layers and its deepest features.

    In training (N, C, *) gives (N, (1 + heads) * classes, *): the network's logits, those of each inner layer and those
    of the whole patch, the same at all pixels. In evaluation it gives the network's logits alone. `size` (*axes) is
    one that the network takes.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        inner: Sequence[str],
        whole_patch: bool,
        in_channels: int,
        size: tuple[int, ...] = (SIDE, SIDE),
        exclusive_classes: bool = False,
    ):
        super().__init__()
        self.network = network
        self.exclusive_classes = exclusive_classes
        self.inner = tuple(inner)
        self.deepest = [name for name in DEEPEST if whole_patch and hasattr(network, name)][:1]
        self.features: dict[str, Tensor] | None = None
        for name in (*self.inner, *self.deepest):
            network.get_submodule(name).register_forward_hook(self._noting(name))
        widths = self._widths(torch.zeros(1, in_channels, *size))
        self.heads = nn.ModuleList(CONVOLUTIONS[len(size)](widths[name], classes, 1) for name in self.inner)
        self.any_head = nn.ModuleList(nn.Linear(widths[name], classes) for name in self.deepest)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of all heads, or of the network alone."""
        if not self.training:
            return self.network(images)
        logits, features = self._listen(images)
        size = logits.shape[2:]
        maps = [head(features[name]) for name, head in zip(self.inner, self.heads, strict=True)]
        parts = [F.interpolate(each, size=size, mode=LINEAR[len(size)], align_corners=False) for each in maps]
        if self.exclusive_classes:
            parts = [exclusive(each) for each in parts]
        for name, head in zip(self.deepest, self.any_head, strict=True):
            whole = head(features[name].flatten(2).mean(2))
            parts.append(whole.reshape(*whole.shape, *(1,) * len(size)).expand_as(logits))
        return torch.cat([logits, *parts], 1)

    def _listen(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's logits, and the features that the heads are for, by layer."""
        features: dict[str, Tensor] = {}
        self.features = features
        logits = self.network(images)
        self.features = None
        return logits, features

    def _noting(self, name: str) -> Callable[..., None]:
        def note(_: nn.Module, __: Any, output: Any) -> None:
            if self.features is None:
                return  # the network is asked alone
            while not isinstance(
                output, Tensor
            ):  # an encoder's features, with the tokens of a vision transformer beside
                output = output[0] if isinstance(output, tuple) else output[-1]
            self.features[name] = output

        return note

    @torch.no_grad()
    def _widths(self, images: Tensor) -> dict[str, int]:
        """Channels of the features; a forward pass in evaluation draws nothing and changes no statistics."""
        self.network.eval()
        _, features = self._listen(images)
        self.network.train()
        return {name: feature.shape[1] for name, feature in features.items()}


def build_supervision(cfg: CfgNode, network: nn.Module) -> tuple[nn.Module, Loss]:
    """The network to train and its loss: with the heads that SOLVER and MODEL ask for, if any."""
    deep, whole = cfg.SOLVER.DEEP_SUPERVISION, cfg.MODEL.ANY_HEAD
    loss, classes = build_loss(cfg), len(cfg.DATASETS.CLASSES)
    if not (deep or whole):
        return network, loss
    options = build_network_options(cfg)
    inner = _layers(network, INNER[cfg.MODEL.ARCHITECTURE]) if deep else ()
    is_volume = cfg.MODEL.ARCHITECTURE in RASTERS
    size = tuple(2 * n for n in raster(cfg.MODEL.ARCHITECTURE, options)) if is_volume else (SIDE, SIDE)
    supervised = Supervised(
        network, classes, inner, whole > 0, cfg.MODEL.IN_CHANNELS, size, exclusive_classes=options.exclusive
    )
    return supervised, supervised_loss(loss, len(inner), deep, whole)


def _layers(network: nn.Module, names: Sequence[str]) -> list[str]:
    """Names of layers; a list of layers stands for the last ones in it, but for that which gives the output."""
    layers: list[str] = []
    for name in names:
        found = network.get_submodule(name)
        inner = range(len(found) - 1)[-MOST:] if isinstance(found, nn.ModuleList) else None
        layers += [name] if inner is None else [f"{name}.{place}" for place in inner]
    return layers


def supervised_loss(loss: Loss, inner: int, deep_weight: float, any_weight: float) -> Loss:
    """The loss of the mask, that of the inner layers (their mean, weighted) and that of the whole patch (weighted)."""

    def total(logits: Tensor, targets: Tensor) -> Tensor:
        mask, *others = logits.split(targets.shape[1], 1)
        value = loss(mask, targets)
        if others[:inner]:
            value = value + deep_weight * torch.stack([loss(each, targets) for each in others[:inner]]).mean()
        for each in others[inner:]:
            value = value + any_weight * bce(each.flatten(2)[:, :, :1], has_any(targets))
        return value

    return total


def has_any(targets: Tensor) -> Tensor:
    """Whether a patch holds a class: (N, K, *) to (N, K, 1), 0 or 1; IGNORE where only ignored pixels could.

    Of soft targets, the highest probability.
    """
    pixels = targets.as_subclass(Tensor).flatten(2)
    ignored = pixels == IGNORE
    found = pixels.masked_fill(ignored, 0).amax(2, keepdim=True)
    return found.masked_fill(ignored.any(2, keepdim=True) & (found < 1), IGNORE)
