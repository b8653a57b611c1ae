"""The scatter plot of two runs: a dot a case, beside the line where both are alike."""

from pathlib import Path

import numpy as np

from utils.plots import PALETTE, QUIET, dress, new_figure, save_figure


def plot_pairs(pairs: np.ndarray, what: str, names: tuple[str, str], path: Path) -> None:
    """Draw pairs (n, 2) of the scores of two runs as PNG; equal values give equal bytes."""
    figure = new_figure(5.2, 5.2)
    axes = figure.subplots()
    low, high = float(pairs.min()), float(pairs.max())
    room = 0.05 * (high - low) or 0.05
    limits = (low - room, high + room)
    axes.plot(limits, limits, color=QUIET, linewidth=1, linestyle="--")
    axes.plot(*pairs.T, "o", color=PALETTE[0], markersize=6.5, alpha=0.75, markeredgewidth=0)
    dress(axes, f"{what} of each case", names[0], names[1])
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    save_figure(figure, path)
