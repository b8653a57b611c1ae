import cv2
import numpy as np
import pytest

from utils.strip_plot import plot_strip, swarm


@pytest.mark.parametrize(
    "values",
    [
        {"a": [0.5]},
        {"a": [0.8, 0.81, 0.9], "b": [0.0, 1.0]},
        {"a": [], "b": [1.0] * 40},
        {f"class {k}": [0.1 * k] for k in range(9)},
    ],
)
def test_a_strip_plot_is_drawn_whatever_it_holds(values, tmp_path):
    plot_strip(values, "Dice by class", "Dice", tmp_path / "strip.png")
    assert cv2.imread(str(tmp_path / "strip.png")).std() > 0
    plot_strip(values, "Dice by class", "Dice", tmp_path / "again.png")
    assert (tmp_path / "strip.png").read_bytes() == (tmp_path / "again.png").read_bytes()


def test_equal_values_lie_side_by_side_and_far_ones_in_the_middle():
    offsets = swarm(np.array([0.1, 0.5, 0.5, 0.501, 0.9]), near=0.02)
    assert offsets[0] == offsets[4] == offsets[1] == 0
    assert sorted(np.sign(offsets[2:4])) == [-1, 1]
    assert np.abs(swarm(np.full(100, 0.5), 0.02)).max() < 0.5
