"""How a mask is made of a probability map: thresholds, and what is done with small objects and holes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from yacs.config import CfgNode

from data.stitching.mask import Threshold


@dataclass(frozen=True)
class MaskRule:
    """An object reaches `threshold` somewhere and extends as far as the probability does not fall below `low`.

    A `low` of 0, or one above the threshold, is the threshold itself. Objects of fewer than `min_object_px` pixels of
    the map are removed, with `largest` all but the largest object of each class, and holes of at most `max_hole_px`
    filled.
    """

    threshold: Threshold
    low: float = 0.0
    min_object_px: int = 0
    max_hole_px: int = 0
    largest: bool = False

    @property
    def extent(self) -> Threshold:
        """The threshold of the mask, once what does not reach the other one is removed."""
        if not self.low:
            return self.threshold
        if isinstance(self.threshold, Sequence):
            return tuple(min(self.low, each) for each in self.threshold)
        return min(self.low, self.threshold)

    @property
    def is_plain(self) -> bool:
        """Whether it is a threshold alone, so that a map stays as it is."""
        is_kept = self.min_object_px <= 1 and self.max_hole_px <= 0 and not self.largest
        return is_kept and self.extent == self.threshold


def build_test_rule(cfg: CfgNode, tuned: MaskRule) -> MaskRule:
    """The rule that the weights carry, as far as TEST does not overrule it."""
    test = cfg.TEST
    return replace(
        tuned,
        threshold=test.TH or tuned.threshold,
        low=test.TH_LOW or tuned.low,
        min_object_px=test.MIN_OBJECT or tuned.min_object_px,
        max_hole_px=test.MAX_HOLE or tuned.max_hole_px,
        largest=test.LARGEST,
    )
