"""Mistakes in the options of volumes."""

import math
import sys
from collections.abc import Iterator

from yacs.config import CfgNode


def volume_mistakes(cfg: CfgNode) -> Iterator[str]:
    """What cannot work in the options that only volumes have."""
    yield from _intensities(cfg.INPUT)
    yield from _scales(cfg.TILES)
    data = cfg.DATASETS
    if data.CROP and data.CROP_TO:
        yield f"DATASETS.CROP is {data.CROP} and DATASETS.CROP_TO {data.CROP_TO!r}; leave one empty"
    if data.LAYOUT == "series" and data.MASKS and "{name}" not in data.MASKS:
        yield f"DATASETS.MASKS is {data.MASKS!r}; it must hold {{name}}"


def _intensities(options: CfgNode) -> Iterator[str]:
    for key, least, most, span in (("WINDOW", -math.inf, math.inf, ""), ("PERCENTILES", 0, 100, " from 0 to 100")):
        numbers = options[key]
        if not (_are_numbers(numbers) and len(numbers) == 2 and least <= numbers[0] < numbers[1] <= most):
            yield f"INPUT.{key} is {numbers}; it must be two numbers{span}, the lower one first"


def _scales(options: CfgNode) -> Iterator[str]:
    for key in ("REDUCTIONS", "SPACINGS_UM", "SIDES"):
        numbers = options[key]
        if not _are_numbers(numbers) or len(numbers) not in (0, 2, 3) or min(numbers, default=0) < 0:
            yield f"TILES.{key} is {numbers}; it must be a number by axis, such as [1, 2, 2], or empty"
    if 0 in options.REDUCTIONS:
        yield f"TILES.REDUCTIONS is {options.REDUCTIONS}; it must be above 0, such as 1 for an axis as it is"
    if not all(isinstance(side, int) for side in options.SIDES):
        yield f"TILES.SIDES is {options.SIDES}; it must be whole numbers, such as [0, 256, 256]"


def _are_numbers(values: list) -> bool:
    return all(type(value) in (int, float) and abs(value) <= sys.float_info.max for value in values)
