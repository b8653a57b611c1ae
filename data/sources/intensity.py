"""How the values of a volume, of any range, become pixels of 0 to 255: the rule of INPUT.INTENSITY."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from yacs.config import CfgNode

Strips = Callable[[], Iterable[np.ndarray]]  # goes through all values of a volume, float32, a part at a time
Limits = tuple[float, float]


@dataclass(frozen=True)
class IntensityRule:
    """Which values of a volume become 0 and 255: `kind` is of INTENSITIES with its numbers, or empty for bytes."""

    kind: str = ""
    numbers: tuple[float, ...] = ()

    def limits(self, strips: Strips) -> Limits | None:
        """The values that become 0 and 255, or None where pixels are bytes already."""
        return INTENSITIES[self.kind](strips, self.numbers) if self.kind else None


AS_IT_IS = IntensityRule()


def to_pixels(values: np.ndarray, limits: Limits) -> np.ndarray:
    """Pixels 0 to 255, float32 and not rounded, of values of which `limits` become 0 and 255; others are clipped."""
    low, high = limits
    pixels = np.clip(values, low, high, dtype=np.float32)
    pixels -= np.float32(low)
    pixels *= np.float32(255 / (high - low)) if high > low else 0
    return pixels


def window(strips: Strips, numbers: Sequence[float]) -> Limits:
    """The limits that are given."""
    low, high = numbers
    return low, high


def value_range(strips: Strips, numbers: Sequence[float] = ()) -> Limits:
    """Least and largest value."""
    parts = [(float(values.min()), float(values.max())) for values in strips()]
    return min(low for low, _ in parts), max(high for _, high in parts)


def percentiles(strips: Strips, numbers: Sequence[float]) -> Limits:
    """Two percentiles, 0 to 100, linear between the values next to them; exact, from counts of values."""
    upper = sum(np.bincount(_keys(values) >> 16, minlength=2**16) for values in strips())
    last = int(np.sum(upper)) - 1
    places = [last * number / 100 for number in numbers]
    pairs = [(int(place), min(int(place) + 1, last)) for place in places]
    found = _of_ranks(strips, np.asarray(upper), sorted({rank for pair in pairs for rank in pair}))
    low, high = (
        found[one] + (place - one) * (found[other] - found[one])
        for place, (one, other) in zip(places, pairs, strict=True)
    )
    return low, high


INTENSITIES: dict[str, Callable[[Strips, Sequence[float]], Limits]] = {
    "window": window,
    "range": value_range,
    "percentiles": percentiles,
}


def _of_ranks(strips: Strips, upper: np.ndarray, ranks: Sequence[int]) -> dict[int, float]:
    """The values of 0-based ranks, from counts of the upper halves of all keys and then of the lower ones."""
    ends = np.cumsum(upper)
    half_of = {rank: int(np.searchsorted(ends, rank, "right")) for rank in ranks}
    lower = {half: np.zeros(2**16, np.int64) for half in half_of.values()}
    for values in strips():
        keys = _keys(values)
        for half, counts in lower.items():
            counts += np.bincount(keys[keys >> 16 == half] & 0xFFFF, minlength=2**16)
    found = {}
    for rank, half in half_of.items():
        within = rank - int(ends[half] - upper[half])
        found[rank] = _value(half << 16 | int(np.searchsorted(np.cumsum(lower[half]), within, "right")))
    return found


def _keys(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of float32 values: of a negative one all bits turn, of others the first."""
    bits = np.ascontiguousarray(values, np.float32).ravel().view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(2**31))


def _value(key: int) -> float:
    bits = np.uint32(key ^ 2**31 if key >> 31 else ~key & 0xFFFFFFFF)
    return float(bits.view(np.float32))


def build_intensity(cfg: CfgNode) -> IntensityRule:
    """The rule of INPUT.INTENSITY with its numbers."""
    numbers = {"window": cfg.INPUT.WINDOW, "percentiles": cfg.INPUT.PERCENTILES}
    return IntensityRule(cfg.INPUT.INTENSITY, tuple(map(float, numbers.get(cfg.INPUT.INTENSITY, ()))))
