"""Sorted bars: one a case, with lines at their mean and their median."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from utils.plots import INK, PALETTE, PREDICTION, dress, new_figure, save_figure

MOST_NAMES = 60  # beyond, bars are too slim to have a name each


def plot_bars(values: Mapping[str, float], title: str, label: str, path: Path) -> None:
    """Draw values between 0 and 1 of cases as PNG, from the lowest to the highest; equal values give equal bytes."""
    order = sorted(values, key=lambda name: (values[name], name))
    heights = np.array([values[name] for name in order], float)
    figure = new_figure(7.5, min(max(2.6, 0.24 * len(order) + 1.5), 14.0))
    axes = figure.subplots()
    axes.barh(range(len(order)), heights, color=PALETTE[4], height=0.78)
    for value, style, colour, name in (
        (float(heights.mean()), "-", PREDICTION, "mean"),
        (float(np.median(heights)), "--", INK, "median"),
    ):
        axes.axvline(value, color=colour, linestyle=style, linewidth=1.6, label=f"{name} {value:.3f}")
    dress(axes, title, label, "")
    axes.set_yticks(range(len(order)), order if len(order) <= MOST_NAMES else [""] * len(order))
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.legend(fontsize=9.5, frameon=False, labelcolor=INK, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    save_figure(figure, path)
