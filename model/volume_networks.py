"""Networks of MONAI by name, in two and three dimensions; all give logits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.network_options import NetworkOptions, level_channels, level_strides, raster

MISSING = (
    "MODEL.ARCHITECTURE {} needs MONAI, which is not installed; install it with "
    "pip install --requirement requirements-volumes.txt --constraint constraints.txt"
)
NORMS = {"instance": ("instance", {"affine": True}), "batch": "batch", "group": ("group", {"num_groups": 8})}
BASIC_CHANNELS = (32, 32, 64, 128, 256)  # MONAI's own
UNETR_CHANNELS = (16, 768)  # features of the convolutions, width of the transformer; MONAI's own
HEAD_WIDTH = 64  # channels of one attention head, as in the vision transformers of UNETR

Make = Callable[[int, int, NetworkOptions], nn.Module]  # in_channels, classes, options


@dataclass(frozen=True)
class PatchRule:
    """Refuses patches that a network cannot take, before they meet it, and says which it can."""

    name: str
    multiples: tuple[int, ...]
    only: tuple[int, ...] = ()

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Raise ValueError for a patch (N, C, *) of another size; a forward pre-hook."""
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return  # sizes may be symbols then
        sides = tuple(inputs[0].shape[2:])
        if len(sides) != len(self.multiples):
            raise ValueError(f"patch is {sides}; {self.name} was made for {len(self.multiples)} axes (MODEL.AXES)")
        if self.only and sides != self.only:
            raise ValueError(f"patch is {sides}; this {self.name} takes {self.only} alone, as in its training")
        if any(side % step for side, step in zip(sides, self.multiples, strict=True)):
            raise ValueError(f"patch is {sides}; this {self.name} wants sides that are multiples of {self.multiples}")


def build_volume_network(name: str, in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    """Network that maps (N, in_channels, *axes) to logits (N, classes, *axes); `name` is one of VOLUME_NETWORKS.

    Raises ValueError where MONAI is not installed or cannot make a network of these options.
    """
    try:
        network = VOLUME_NETWORKS[name](in_channels, classes, options)
    except ImportError as error:
        raise ValueError(MISSING.format(name)) from error
    except (AssertionError, TypeError, ValueError) as error:
        short = " ".join(str(error).split())[:200]
        raise ValueError(
            f"MODEL.ARCHITECTURE {name} cannot have CHANNELS, STRIDES and NORM of MODEL: {short}"
        ) from error
    # a hook, not a wrapper: parameters keep the names of MONAI's own weight files
    network.register_forward_pre_hook(PatchRule(name, raster(name, options), options.patch))
    return network


def _norm(options: NetworkOptions) -> dict[str, Any]:
    return {"norm": NORMS[options.norm]} if options.norm else {}


def _norm_name(options: NetworkOptions) -> dict[str, Any]:
    return {"norm_name": NORMS[options.norm]} if options.norm else {}


def _unet(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import UNet

    return UNet(
        options.axes,
        in_channels,
        classes,
        channels=level_channels(options),
        strides=level_strides(options),
        num_res_units=options.res_units,
        dropout=options.dropout,
        **_norm(options),
    )


def _attention_unet(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import AttentionUnet

    channels, strides = level_channels(options), level_strides(options)
    return AttentionUnet(options.axes, in_channels, classes, channels, strides, dropout=options.dropout)


def _basic_unet(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import BasicUNet

    channels = level_channels(options, BASIC_CHANNELS)
    features = (*channels, channels[0])
    return BasicUNet(options.axes, in_channels, classes, features, dropout=options.dropout, **_norm(options))


def _dyn_unet(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import DynUNet

    strides = level_strides(options)
    return DynUNet(
        options.axes,
        in_channels,
        classes,
        kernel_size=[3] * (len(strides) + 1),
        strides=[1, *strides],
        upsample_kernel_size=strides,
        filters=level_channels(options),
        dropout=options.dropout or None,
        **_norm_name(options),
    )


def _seg_res_net(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import SegResNet

    channels = level_channels(options)
    if channels != tuple(channels[0] * 2**level for level in range(len(channels))):
        raise ValueError(f"channels are {list(channels)}; they double from level to level, such as [16, 32, 64, 128]")
    return SegResNet(
        options.axes,
        channels[0],
        in_channels,
        classes,
        blocks_down=(1, *(2,) * (len(channels) - 2), 4),  # (1, 2, 2, 4) for four levels, as MONAI has it
        blocks_up=(1,) * (len(channels) - 1),
        dropout_prob=options.dropout or None,
        **_norm(options),
    )


def _swin_unetr(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import SwinUNETR

    (features,) = level_channels(options, (24,))
    return SwinUNETR(
        in_channels,
        classes,
        feature_size=features,
        drop_rate=options.dropout,
        spatial_dims=options.axes,
        **_norm_name(options),
    )


def _unetr(in_channels: int, classes: int, options: NetworkOptions) -> nn.Module:
    from monai.networks.nets import UNETR

    features, width = level_channels(options, UNETR_CHANNELS)
    return UNETR(
        in_channels,
        classes,
        options.patch,
        features,
        width,
        4 * width,
        max(1, width // HEAD_WIDTH),
        dropout_rate=options.dropout,
        spatial_dims=options.axes,
        **_norm_name(options),
    )


VOLUME_NETWORKS: dict[str, Make] = {
    "monai-UNet": _unet,
    "monai-AttentionUnet": _attention_unet,
    "monai-BasicUNet": _basic_unet,
    "monai-DynUNet": _dyn_unet,
    "monai-SegResNet": _seg_res_net,
    "monai-SwinUNETR": _swin_unetr,
    "monai-UNETR": _unetr,
}
