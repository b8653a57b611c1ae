"""Pictures of what the benchmarks found: python -m benchmarks.pictures [FOLDER]."""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures import FOLDER, load_rows, size_name
from config import load_cfg
from utils.plots import (  # one style in the whole project
    INK,
    PALETTE,
    QUIET,
    add_legend,
    dress,
    new_figure,
    save_figure,
)

TILING, PREDICTION = PALETTE[0], PALETTE[1]


def draw_all(folder: Path) -> list[Path]:
    """Draw whatever was measured; the paths of the pictures."""
    tiling = [row for row in load_rows(folder, "tiling") if not row["kind"]]
    prediction = load_rows(folder, "prediction")
    sizes = [row for row in prediction if row["what"] == "size"]
    seams, peers = load_rows(folder, "seams"), load_rows(folder, "peers")
    drawn = []
    if tiling and sizes:
        drawn += [draw_growth(tiling, sizes, prediction[0]["peak_mb"], folder / "performance_growth.png")]
        drawn += [draw_memory(tiling[-1], sizes[-1], folder / "performance_memory.png")]
    if seams:
        drawn += [draw_overlap(seams, folder / "performance_overlap.png")]
    if peers:
        drawn += [draw_peers(peers, folder / "performance_peers.png")]
    return drawn


def draw_growth(tiling: Sequence[dict], prediction: Sequence[dict], imports_mb: float, path: Path) -> Path:
    """Time and peak memory against the side of the slide."""
    left, right, figure = _panels()
    for rows, name, spent, floor, least, colour in (
        (tiling, "tiling", "seconds", "floor", "decoding and encoding once", TILING),
        (prediction, "prediction", "wall", "forward", "forward passes alone", PREDICTION),
    ):
        sides = [row["side"] for row in rows]
        left.plot(sides, [median(row[spent]) for row in rows], "o-", color=colour, label=name)
        left.plot(sides, [median(row[floor]) for row in rows], ":", color=colour, label=least)
        right.plot(sides, [row["peak_mb"] for row in rows], "o-", color=colour, label=name)
    right.axhline(imports_mb, color=QUIET, linestyle="--", linewidth=1, label="import of torch and smp")
    dress(left, "Time of one slide", "side of the slide in pixels", "seconds")
    dress(right, "Peak memory of the command", "side of the slide in pixels", "MB")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        sides = [row["side"] for row in prediction]
        axes.set_xticks(sides, [size_name(side) for side in sides], minor=False)
        add_legend(axes, None)
    right.legend(loc=(0.55, 0.3), frameon=False, fontsize=9)
    left.set_yscale("log")
    left.minorticks_off()
    right.set_ylim(0, None)
    save_figure(figure, path)
    return path


def draw_memory(tiling: dict, prediction: dict, path: Path) -> Path:
    """Resident memory over time of the largest slide."""
    *panels, figure = _panels()
    for axes, row, name, colour in zip(
        panels, (tiling, prediction), ("Tiling", "Prediction"), (TILING, PREDICTION), strict=True
    ):
        seconds, resident = zip(*row["curve"], strict=True)
        axes.fill_between(seconds, resident, color=colour, alpha=0.25, linewidth=0)
        axes.plot(seconds, resident, color=colour, linewidth=1.6)
        axes.set_ylim(0, 1.15 * row["peak_mb"])
        axes.set_xlim(0, None)
        dress(axes, f"{name} of a slide of {row['side']:,} px a side", "seconds", "resident memory in MB")
    save_figure(figure, path)
    return path


def draw_overlap(rows: Sequence[dict], path: Path) -> Path:
    """Dice against the dense reference over the work, for each size of patch."""
    figure = new_figure(7.5, 4.6)
    axes, used = figure.subplots(), load_cfg().TEST
    for number, patch in enumerate(sorted({row["patch"] for row in rows})):
        own = [row for row in rows if row["patch"] == patch]
        work, dice = [row["work"] for row in own], [row["dice"] for row in own]
        axes.plot(work, dice, "o-", color=PALETTE[number], markersize=5, label=f"patches of {patch} px")
    for row in (row for row in rows if row["patch"] == used.PATCH):
        place = (row["work"], row["dice"])
        axes.annotate(str(row["overlap"]), place, (5, -14), textcoords="offset points", fontsize=8, color=QUIET)
        if row["overlap"] == used.OVERLAP:
            axes.plot(*place, "o", markersize=13, fillstyle="none", color=INK, label="the default")
    axes.axhline(0.995, color=QUIET, linestyle="--", linewidth=1)
    dress(axes, "What an overlap (px, beside the points) costs and is worth", "pixels predicted a pixel of tissue",
           "mask Dice against the dense reference")  # fmt: skip
    add_legend(axes, None)
    save_figure(figure, path)
    return path


def draw_peers(rows: Sequence[dict], path: Path) -> Path:
    """Seconds of ours and of each peer, with Dice against the dense reference and peak memory."""
    left, right, figure = _panels()
    for axes, on, title in ((left, "slide", "A whole slide, whole processes"), (right, "crop", "A crop in memory")):
        own = [row for row in rows if row["on"] == on][::-1]
        seconds = [median(row["seconds"]) for row in own]
        colours = [PREDICTION if row["who"].startswith("ours") else QUIET for row in own]
        axes.barh([row["who"].replace("_", " ") for row in own], seconds, color=colours, height=0.6)
        for place, (row, value) in enumerate(zip(own, seconds, strict=True)):
            memory = f", {row['peak_mb'] / 1000:.1f} GB" if "peak_mb" in row else ""
            text = f"{value:.1f} s, Dice {row['dice']:.4f}{memory}"
            axes.annotate(text, (value, place), (5, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
        axes.set_xlim(0, 1.75 * max(seconds))
        dress(axes, title, "seconds", "")
        axes.grid(visible=False, axis="y")
    save_figure(figure, path)
    return path


def _panels() -> tuple[Axes, Axes, Figure]:
    figure = new_figure(11, 4.2)
    left, right = figure.subplots(1, 2)
    return left, right, figure


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
