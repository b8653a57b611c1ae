"""An object of a label file, before it becomes pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.sources.runs import Runs
from data.sources.source import SourceError

Rings = Sequence[np.ndarray]  # an outline, then its holes: (n, 2) float of (x, y) in pixels of level 0
MOST_CORNERS = 1024  # of the polygon that stands for an ellipse


@dataclass(frozen=True)
class Outline:
    """What messages call the object, its class in the file, and its area.

    That is what lies inside `polygons` and not inside `removed`, of which one that covers the whole object is a hole
    of others, with this as an island in it; or, in place of both, `runs` of pixels of the image.
    """

    name: str
    class_name: str
    polygons: Sequence[Rings] = ()
    removed: Sequence[Rings] = ()
    runs: Runs | None = None


def as_ring(points: object) -> np.ndarray:
    """Points (n, 2) from lists of x, y and maybe more; raises SourceError."""
    try:
        ring = np.array(points, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"has coordinates that are no pairs of numbers: {str(points)[:60]}") from error
    if ring.size == 0:
        return np.zeros((0, 2))
    if ring.ndim != 2 or ring.shape[1] < 2:
        raise SourceError(f"has coordinates that are no pairs of numbers: {str(points)[:60]}")
    return ring[:, :2]


def as_is(ring: np.ndarray) -> np.ndarray:
    """The points of an outline that is drawn point by point."""
    return ring


def rectangle(ring: np.ndarray) -> np.ndarray:
    """The four corners of a rectangle given by them or by two opposite ones."""
    if len(ring) != 2:
        return ring
    (left, top), (right, bottom) = ring
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def ellipse(ring: np.ndarray) -> np.ndarray:
    """A polygon less than a tenth of a pixel from the ellipse that the box of the points encloses."""
    if len(ring) < 2:
        return ring
    low, high = ring.min(0), ring.max(0)
    radius = (high - low) / 2
    # a chord of the angle 2 pi / n lies within radius * (1 - cos(pi / n)) of its arc, about 5 radius / n^2
    corners = int(np.clip(np.sqrt(50 * radius.max()), 16, MOST_CORNERS)) if np.isfinite(radius).all() else 16
    angles = np.arange(corners) * (2 * np.pi / corners)
    return (low + high) / 2 + radius * np.column_stack([np.cos(angles), np.sin(angles)])
