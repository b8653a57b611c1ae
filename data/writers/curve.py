"""Dice against threshold as a table and a picture."""

from pathlib import Path

import numpy as np

from data.stitching.mask import Threshold
from utils.metrics import threshold_curve
from utils.plots import plot_threshold_curve
from utils.tables import write_table


def write_threshold_curve(folder: Path, histograms: np.ndarray, chosen: Threshold) -> Path:
    """Write dice_threshold.csv and dice_threshold.png for counts (2, 256); returns the picture.

    Of thresholds chosen by class the mean is marked.
    """
    thresholds, dice = threshold_curve(histograms)
    rows = [{"threshold": t, "dice": d} for t, d in zip(thresholds, dice, strict=True)]
    write_table(folder / "dice_threshold.csv", rows, ["threshold", "dice"])
    plot_threshold_curve(thresholds, dice, float(np.mean(chosen)), folder / "dice_threshold.png")
    return folder / "dice_threshold.png"
