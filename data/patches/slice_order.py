"""Which slices of volumes an epoch draws: first a case, all alike, then one of its slices by the mask's area."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.patches.sampling import Content, tell_apart

EVEN = 0.1  # what slices have in common, as a share of the areas of their case


def slice_chances(areas: np.ndarray) -> np.ndarray:
    """The chance of each slice of a case: (s + 0.1 S / n) / (1.1 S) of areas s with the sum S; alike without any."""
    total = areas.sum()
    if not total:
        return np.full(len(areas), 1 / len(areas))
    return (areas + EVEN * total / len(areas)) / ((1 + EVEN) * total)


@dataclass(frozen=True)
class SliceOrder:
    """An epoch of `count` slices, each drawn by `favoured`, the chances of all slices, whatever the others are."""

    favoured: np.ndarray
    count: int

    def order(self, chance: np.random.Generator) -> list[int]:
        """Places of the slices in the order of the epoch; the n-th repetition of one is place + n * slices."""
        return tell_apart(chance.choice(len(self.favoured), self.count, p=self.favoured), len(self.favoured))


def order_slices(case_ids: Sequence[str], contents: Sequence[Content], count: int) -> SliceOrder:
    """The draws of an epoch from slices, of which the case and the content are known."""
    ids, areas = np.array(case_ids), np.array([content.area for content in contents], float)
    chances = np.zeros(len(areas))
    cases = sorted(set(case_ids))
    for case_id in cases:
        own = ids == case_id
        chances[own] = slice_chances(areas[own]) / len(cases)
    return SliceOrder(chances, count)
