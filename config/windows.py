"""Mistakes in the axes of images, and in the windows that slide over them."""

from collections.abc import Iterator

from yacs.config import CfgNode


def window_mistakes(cfg: CfgNode) -> Iterator[str]:
    """What cannot work in MODEL.AXES, TEST.GIF_AXIS, TEST.PATCHES, TEST.OVERLAPS and TEST.OVERLAP_SHARE."""
    for key, value, choices in (
        ("MODEL.AXES", cfg.MODEL.AXES, [2, 3]),
        ("TEST.GIF_AXIS", cfg.TEST.GIF_AXIS, [0, 1, 2]),
    ):
        if value not in choices:
            yield f"{key} is {value}; choose one of {choices}"
    test, axes = cfg.TEST, cfg.MODEL.AXES
    patches = test.PATCHES or cfg.INPUT.PATCH
    if not _are_sides(test.PATCHES, axes, least=1):
        yield f"TEST.PATCHES is {test.PATCHES}; it must be {axes} sides in pixels, one an axis, such as {[96] * axes}"
    elif not _are_sides(test.OVERLAPS, axes, least=0):
        yield f"TEST.OVERLAPS is {test.OVERLAPS}; it must be {axes} numbers of pixels, one an axis, or empty"
    elif test.OVERLAPS and not (len(patches) == axes and _all_below(test.OVERLAPS, patches)):
        yield f"TEST.OVERLAPS is {test.OVERLAPS}; each must be smaller than its side of TEST.PATCHES ({patches})"
    if not 0 <= test.OVERLAP_SHARE < 1:
        yield f"TEST.OVERLAP_SHARE is {test.OVERLAP_SHARE}; it must be at least 0 and below 1, such as 0.5"


def _are_sides(values: list, axes: int, least: int) -> bool:
    return len(values) in (0, axes) and all(type(value) is int and value >= least for value in values)


def _all_below(values: list, limits: list) -> bool:
    return all(value < limit for value, limit in zip(values, limits, strict=True))
