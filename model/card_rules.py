"""Which cards can be true: a file from elsewhere may claim anything."""

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from model.card import ModelCard

MAY_BE_NAN = "valid_dice"  # of a fold that validates on nothing
MOST_CLASSES = 254
NUMBERS_OF = {"window": 2, "range": 0, "percentiles": 2}  # of each rule of intensities
LONGEST_SIDE = 2**16
MOST_STEPS = 1000  # of a diffusion


def card_mistakes(card: "ModelCard") -> Iterator[str]:
    """What in a card no network could have been trained with."""
    mistyped = [*_mistyped(card), *(f"network.{name}" for name in _mistyped(card.network))]
    if mistyped:
        yield f"{', '.join(mistyped)} of the wrong type"
        return
    for name, rule in RULES.items():
        if not rule(card):
            yield f"{name} {_shown(getattr(card, name))}"


def _mistyped(record: Any) -> list[str]:
    """Names of the fields of a dataclass whose values are not of their types, or numbers that are not finite."""
    hints = get_type_hints(type(record))
    names = [each.name for each in fields(record) if each.name != MAY_BE_NAN]
    return [name for name in names if not _fits(getattr(record, name), hints[name])]


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    if get_origin(hint) in (UnionType, Union):
        return any(_fits(value, each) for each in get_args(hint))
    if hint is float:
        return type(value) in (int, float) and abs(value) < math.inf
    return type(value) is hint


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _in_01(values: tuple[float, ...]) -> bool:
    return all(0 <= value <= 1 for value in values)


def _by_axis(values: tuple[float, ...]) -> bool:
    return len(values) in (0, 2, 3) and all(0 <= value <= LONGEST_SIDE for value in values)


def _is_intensity(card: "ModelCard") -> bool:
    kind, *numbers = card.intensity or ("range",)
    return len(numbers) == NUMBERS_OF.get(str(kind), -1) and all(not isinstance(each, str) for each in numbers)


RULES: dict[str, Callable[["ModelCard"], bool]] = {
    "in_channels": lambda card: card.in_channels >= 1,
    "classes": lambda card: 1 <= len(set(card.classes)) == len(card.classes) <= MOST_CLASSES,
    "mean": lambda card: len(card.mean) == card.in_channels,
    "std": lambda card: len(card.std) == card.in_channels and min(card.std) > 0,
    "reduction": lambda card: card.reduction >= 0,
    "spacing_um": lambda card: card.spacing_um is None or card.spacing_um > 0,
    "reductions": lambda card: _by_axis(card.reductions) and 0 not in card.reductions,
    "spacings_um": lambda card: _by_axis(card.spacings_um),
    "sides": lambda card: _by_axis(card.sides),
    "threshold": lambda card: card.threshold is None or _in_01((card.threshold,)),
    "thresholds": lambda card: len(card.thresholds) in (0, len(card.classes)) and _in_01(card.thresholds),
    "low": lambda card: _in_01((card.low,)),
    "min_object_px": lambda card: card.min_object_px >= 0,
    "max_hole_px": lambda card: card.max_hole_px >= 0,
    "intensity": _is_intensity,
    "diffusion": lambda card: len(card.diffusion) in (0, 3) and max(card.diffusion[:1], default=0) <= MOST_STEPS,
    "patch": lambda card: _by_axis(card.patch) and 0 not in card.patch,
    "head_px": lambda card: 0 <= card.head_px <= LONGEST_SIDE,
    "network": lambda card: card.network.axes in (2, 3) and min((*card.network.channels, 1)) > 0,
}
