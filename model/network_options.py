"""What makes a network besides its name, its encoder and its channels; small enough to travel in the card."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from yacs.config import CfgNode

HALVINGS = 5  # of an encoder of segmentation_models_pytorch or timm, of UneXt and of SwinUNETR
WHOLE_STEP = 8  # whole volumes are padded to multiples of it, unless INPUT.PATCH says more
DEFAULT_CHANNELS = (16, 32, 64, 128)


@dataclass(frozen=True)
class NetworkOptions:
    """How a network is built; an empty value leaves a thing to the network's own default.

    `axes` is the number of spatial axes; `channels` are those of each level, shallowest first; `strides` stand between
    levels, one number for all axes or one an axis; `patch` is the only size (*axes) that a network takes, if it is so.
    """

    axes: int = 2
    channels: tuple[int, ...] = ()
    strides: tuple[int | tuple[int, ...], ...] = ()
    res_units: int = 2
    norm: str = ""
    dropout: float = 0.0
    exclusive: bool = False  # a pixel has at most one class: a softmax with the background, given as log-odds
    patch: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Take lists for tuples, as JSON and YAML have them."""
        for name in ("channels", "strides", "patch"):
            object.__setattr__(self, name, _tuples(getattr(self, name)))


def build_network_options(cfg: CfgNode) -> NetworkOptions:
    """The options of a configuration's network."""
    model, sides = cfg.MODEL, cfg.INPUT.PATCH or [cfg.INPUT.SIZE_TRAIN] * cfg.MODEL.AXES
    return NetworkOptions(
        axes=model.AXES,
        channels=model.CHANNELS,
        strides=model.STRIDES,
        res_units=model.RES_UNITS,
        norm=model.NORM,
        dropout=model.DROPOUT,
        exclusive=model.ACTIVATION == "softmax",
        patch=tuple(sides) if takes_one_size(model.ARCHITECTURE) else (),
    )


def build_trial_sizes(cfg: CfgNode) -> list[tuple[int, ...]]:
    """Sizes (*axes) of patches that the network of a configuration must take: in training, and another one."""
    if cfg.MODEL.AXES == 2:
        return [(cfg.INPUT.SIZE_TRAIN,) * 2, (128, 160)]
    step = raster(cfg.MODEL.ARCHITECTURE, build_network_options(cfg))
    whole = tuple(2 * max(n, WHOLE_STEP) + WHOLE_STEP for n in step)  # as odd as a volume can be
    other = tuple(cfg.TEST.PATCHES) or (*(2 * n for n in step[:-1]), 3 * step[-1])
    size = tuple(cfg.INPUT.PATCH) or whole
    return [size] if takes_one_size(cfg.MODEL.ARCHITECTURE) and not cfg.TEST.PATCHES else [size, other]


def takes_one_size(architecture: str) -> bool:
    """Whether a network takes patches of the size that it was made for alone."""
    return architecture == "monai-UNETR"


def level_channels(options: NetworkOptions, default: tuple[int, ...] = DEFAULT_CHANNELS) -> tuple[int, ...]:
    """Channels of each level."""
    return options.channels or default


def level_strides(options: NetworkOptions) -> tuple[int | tuple[int, ...], ...]:
    """Strides between levels, by default 2."""
    return options.strides or (2,) * (len(level_channels(options)) - 1)


def raster(architecture: str, options: NetworkOptions) -> tuple[int, ...]:
    """By axis what the sides of a patch must be multiples of: the product of the network's strides."""
    return RASTERS.get(architecture, _halvings)(options)


def _halvings(options: NetworkOptions) -> tuple[int, ...]:
    return (2**HALVINGS,) * options.axes


def _by_strides(options: NetworkOptions) -> tuple[int, ...]:
    by_axis = [stride if isinstance(stride, tuple) else (stride,) * options.axes for stride in level_strides(options)]
    return tuple(math.prod(strides) for strides in zip(*by_axis, strict=True))


def _by_levels(options: NetworkOptions) -> tuple[int, ...]:
    return (2 ** (len(level_channels(options)) - 1),) * options.axes


def _sixteen(options: NetworkOptions) -> tuple[int, ...]:
    return (16,) * options.axes


def _tuples(values: object) -> object:
    return tuple(map(_tuples, values)) if isinstance(values, (list, tuple)) else values


RASTERS: dict[str, Callable[[NetworkOptions], tuple[int, ...]]] = {
    "monai-UNet": _by_strides,
    "monai-AttentionUnet": _by_strides,
    "monai-DynUNet": _by_strides,
    "monai-SegResNet": _by_levels,
    "monai-BasicUNet": _sixteen,
    "monai-UNETR": _sixteen,
    "monai-SwinUNETR": _halvings,
}
