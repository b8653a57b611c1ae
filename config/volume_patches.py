"""Mistakes in the options by which a network learns from patches of volumes."""

from collections.abc import Iterator

from yacs.config import CfgNode

CROPS_OF_VOLUMES = ["posneg", "uniform", "label", "weighted"]
OF_VOLUMES = ["MOTION", "BIAS_FIELD", "INTENSITY_SHIFT"]  # kinds of augmentation


def patch_mistakes(cfg: CfgNode) -> Iterator[str]:
    """What is wrong with patches, sampling and augmentation of volumes, or of images that are none."""
    is_crops = cfg.MODEL.AXES == 3 and cfg.INPUT.FROM == "crops"
    if (cfg.SOLVER.SAMPLING in CROPS_OF_VOLUMES) != is_crops:
        crops = "INPUT.FROM 'crops' of volumes (MODEL.AXES 3)"
        yield f"SOLVER.SAMPLING is {cfg.SOLVER.SAMPLING!r}; {CROPS_OF_VOLUMES} are for {crops}, which needs one of them"
    if cfg.SOLVER.SAMPLING == "slices" and cfg.DATASETS.PSEUDO_LABELS:
        yield "SOLVER.SAMPLING is 'slices', which has no share for DATASETS.PSEUDO_LABELS; leave these empty"
    if cfg.SOLVER.SAMPLING == "slices" and cfg.INPUT.FROM != "slices":
        yield f"SOLVER.SAMPLING is 'slices', which needs INPUT.FROM 'slices'; it is {cfg.INPUT.FROM!r}"
    axes, names = cfg.AUGMENTATION.FLIP_AXES, ["z", "row", "column"][-cfg.MODEL.AXES :]
    if not all(axis in range(len(names)) for axis in axes) or len(set(axes)) < len(axes):
        known = ", ".join(f"{number} ({name})" for number, name in enumerate(names))
        yield f"AUGMENTATION.FLIP_AXES is {axes}; it must name axes {known}, each once at most"
    for name in OF_VOLUMES:
        if not 0 <= cfg.AUGMENTATION[name] <= 1:
            yield f"AUGMENTATION.{name} is {cfg.AUGMENTATION[name]}; it must lie in 0 to 1"
    yield from {2: _flat, 3: _patch}.get(cfg.MODEL.AXES, _nothing)(cfg)


def _nothing(cfg: CfgNode) -> Iterator[str]:
    yield from ()


def _patch(cfg: CfgNode) -> Iterator[str]:
    patch = cfg.INPUT.PATCH
    if cfg.INPUT.FROM == "slices":
        yield "INPUT.FROM is 'slices', which are for networks of pictures; set MODEL.AXES 2"
    if not patch and cfg.INPUT.FROM != "whole":
        yield "INPUT.PATCH is empty; give the sides of a volume's patch by axis (z, row, column), such as [48, 96, 96]"
    elif patch and not (len(patch) == 3 and all(isinstance(n, int) and n > 0 for n in patch)):
        yield f"INPUT.PATCH is {patch}; it must be three sides in pixels (z, row, column), such as [48, 96, 96]"
    elif cfg.INPUT.FROM != "whole" and min(patch) <= cfg.TILES.OVERLAP:
        yield f"TILES.OVERLAP is {cfg.TILES.OVERLAP}; it must be smaller than every side of INPUT.PATCH {patch}"


def _flat(cfg: CfgNode) -> Iterator[str]:
    if cfg.INPUT.PATCH:
        yield f"INPUT.PATCH is {cfg.INPUT.PATCH}, but MODEL.AXES is 2; set INPUT.SIZE_TRAIN, or MODEL.AXES 3"
    if cfg.INPUT.FROM == "whole":
        yield "INPUT.FROM is 'whole', which is for volumes (MODEL.AXES 3); choose 'tiles' or 'crops'"
    for name in OF_VOLUMES:
        if cfg.AUGMENTATION[name]:
            yield f"AUGMENTATION.{name} is {cfg.AUGMENTATION[name]}; that is for volumes (MODEL.AXES 3)"
