"""The strip plot: every value of some groups as a dot, beside the others of its group, and their mean as a line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.plots import INK, PALETTE, QUIET, dress, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 0.055  # between dots side by side, where groups are 1 apart
WIDEST = 0.36  # farthest that a dot lies from the middle of its group


def plot_strip(values: Mapping[str, Sequence[float]], title: str, label: str, path: Path) -> None:
    """Draw the values of each group, between 0 and 1, as PNG; equal values give equal bytes."""
    figure = new_figure(min(max(5.0, 1.6 * len(values) + 2.0), 16.0), 4.4)
    axes = figure.subplots()
    lowest = min((min(own) for own in values.values() if len(own)), default=0.0)
    floor = max(0.0, np.floor(10 * lowest - 0.5) / 10)
    for number, own in enumerate(values.values()):
        if len(own):
            _plot_group(axes, number, np.sort(np.asarray(own, float)), near=(1 - floor) / 45)
    dress(axes, title, "", label)
    names = [f"{name}\n{len(own)} cases" for name, own in values.items()]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", colors=INK)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(floor, 1.02)
    axes.grid(visible=False, axis="x")
    axes.text(1, 1.02, "line: mean", transform=axes.transAxes, ha="right", fontsize=9.5, color=QUIET)
    save_figure(figure, path)


def _plot_group(axes: "Axes", number: int, heights: np.ndarray, near: float) -> None:
    colour, mean = PALETTE[number % len(PALETTE)], float(heights.mean())
    places = number + swarm(heights, near)
    axes.plot(places, heights, "o", color=colour, markersize=6, alpha=0.75, markeredgewidth=0)
    ends = (number - WIDEST, number + WIDEST)
    axes.plot(ends, (mean, mean), color=INK, linewidth=1.8, zorder=4)
    axes.annotate(f"{mean:.3f}", (ends[1], mean), (4, 0), textcoords="offset points", va="center", fontsize=10)


def swarm(heights: np.ndarray, near: float) -> np.ndarray:
    """Offsets (n,) that lay sorted values side by side where they are closer than `near`, the first in the middle."""
    offsets, first, count = np.zeros(len(heights)), -np.inf, 0
    for place, height in enumerate(heights):
        if height - first >= near:
            first, count = height, 0
        offsets[place] = STEP * ((count + 1) // 2) * (-1 if count % 2 else 1)
        count += 1
    return np.clip(offsets, -WIDEST, WIDEST)
