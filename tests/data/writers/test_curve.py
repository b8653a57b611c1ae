import csv

import numpy as np
import pytest
from PIL import Image

from data.writers.curve import write_threshold_curve


def test_the_table_holds_the_dice_of_every_threshold(tmp_path):
    histograms = np.zeros((2, 256), np.int64)
    histograms[1, 200], histograms[1, 50] = 30, 10
    histograms[0, 100], histograms[0, 0] = 20, 1000
    picture = write_threshold_curve(tmp_path, histograms, 0.5)
    with Image.open(picture) as image:
        assert image.format == "PNG"
    with (tmp_path / "dice_threshold.csv").open() as file:
        rows = [(float(row["threshold"]), float(row["dice"])) for row in csv.DictReader(file)]
    assert len(rows) == 255
    by_level = {round(threshold * 255): dice for threshold, dice in rows}
    assert by_level[1] == pytest.approx(2 * 40 / (40 + 60), rel=1e-5)
    assert by_level[51] == pytest.approx(2 * 30 / (40 + 50), rel=1e-5)
    assert by_level[101] == by_level[200] == pytest.approx(2 * 30 / (40 + 30), rel=1e-5)
    assert by_level[201] == 0
