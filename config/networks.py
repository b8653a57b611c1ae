"""Mistakes in the options that shape a network and its loss."""

from collections.abc import Iterator

from yacs.config import CfgNode

READS = {  # which of the options that shape a network each of MONAI's reads, besides AXES
    "monai-UNet": ("CHANNELS", "STRIDES", "NORM", "DROPOUT"),
    "monai-AttentionUnet": ("CHANNELS", "STRIDES", "DROPOUT"),
    "monai-BasicUNet": ("CHANNELS", "NORM", "DROPOUT"),
    "monai-DynUNet": ("CHANNELS", "STRIDES", "NORM", "DROPOUT"),
    "monai-SegResNet": ("CHANNELS", "NORM", "DROPOUT"),
    "monai-SwinUNETR": ("CHANNELS", "NORM", "DROPOUT"),
    "monai-UNETR": ("CHANNELS", "NORM", "DROPOUT"),
}
VOLUME_NETWORKS = list(READS)
LEVELS = {  # how many numbers CHANNELS has, at least and at most
    "monai-UNet": (2, 9),
    "monai-AttentionUnet": (2, 9),
    "monai-BasicUNet": (5, 5),
    "monai-DynUNet": (3, 9),
    "monai-SegResNet": (2, 9),
    "monai-SwinUNETR": (1, 1),
    "monai-UNETR": (2, 2),
}
DEFAULT_LEVELS = 4  # where CHANNELS is empty
NORMS = ["instance", "batch", "group"]
WEIGHTED = ("bce", "bce_dice", "bce_lovasz")  # losses in which SOLVER.POS_WEIGHT has a say


def network_mistakes(cfg: CfgNode) -> Iterator[str]:
    """What cannot work, or would have no effect."""
    model, name = cfg.MODEL, cfg.MODEL.ARCHITECTURE
    given = {
        "CHANNELS": model.CHANNELS,
        "STRIDES": model.STRIDES,
        "DROPOUT": model.DROPOUT,
        "NORM": model.NORM in NORMS,
    }
    for option, is_given in given.items():
        if is_given and option not in READS.get(name, ()):
            readers = [reader for reader, options in READS.items() if option in options]
            yield f"MODEL.{option} is {model[option]!r}, which {name} does not read; leave it, or choose of {readers}"
    if not 0 <= model.DROPOUT < 1:
        yield f"MODEL.DROPOUT is {model.DROPOUT}; it must be at least 0 and below 1"
    if model.AXES == 3 and name not in READS:
        yield f"MODEL.AXES is 3 and MODEL.ARCHITECTURE {name!r}, which is for 2; choose of {VOLUME_NETWORKS}"
    if name in READS:
        yield from _of_volumes(cfg)
    yield from _loss(cfg)


def _of_volumes(cfg: CfgNode) -> Iterator[str]:
    model, name = cfg.MODEL, cfg.MODEL.ARCHITECTURE
    least, most = LEVELS[name]
    if model.CHANNELS and not (
        least <= len(model.CHANNELS) <= most and all(type(n) is int and n > 0 for n in model.CHANNELS)
    ):
        count = least if least == most else f"{least} to {most}"
        yield f"MODEL.CHANNELS is {model.CHANNELS}; {name} wants {count} whole numbers, such as [16, 32, 64, 128]"
    if model.STRIDES and not _are_strides(model.STRIDES, (len(model.CHANNELS) or DEFAULT_LEVELS) - 1, model.AXES):
        yield (
            f"MODEL.STRIDES is {model.STRIDES}; it must be one fewer than CHANNELS, each a whole number or one "
            f"for each of {model.AXES} axes"
        )
    if name == "monai-UNETR" and not (model.AXES == 3 and cfg.INPUT.PATCH):
        yield "MODEL.ARCHITECTURE monai-UNETR takes patches of one size alone; set MODEL.AXES 3 and INPUT.PATCH"
    if model.ANY_HEAD:
        yield f"MODEL.ANY_HEAD is {model.ANY_HEAD}; it is for networks with an encoder, not for {name}"


def _are_strides(strides: list, count: int, axes: int) -> bool:
    by_axis = [each if isinstance(each, list) else [each] * axes for each in strides]
    return len(strides) == count and all(
        len(each) == axes and all(type(n) is int and n > 0 for n in each) for each in by_axis
    )


def _loss(cfg: CfgNode) -> Iterator[str]:
    parts = cfg.SOLVER.LOSS_PARTS
    names = (
        [part[0] for part in parts if isinstance(part, list) and part and isinstance(part[0], str)]
        if parts
        else [cfg.SOLVER.LOSS_FUNCTION_NAME]
    )
    if cfg.SOLVER.POS_WEIGHT != 1 and not set(names) & set(WEIGHTED):
        yield f"SOLVER.POS_WEIGHT is {cfg.SOLVER.POS_WEIGHT}; it has an effect in {WEIGHTED}, not in {names}"
    if "dice_ce" in names and cfg.MODEL.ACTIVATION != "softmax" and len(cfg.DATASETS.CLASSES) > 1:
        yield "the loss dice_ce is for classes that exclude each other; set MODEL.ACTIVATION softmax"
