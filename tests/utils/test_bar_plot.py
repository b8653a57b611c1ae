import cv2
import numpy as np

from utils.bar_plot import plot_bars
from utils.scatter_plot import plot_pairs


def test_bars_of_few_and_of_many_cases_are_drawn_and_equal_ones_give_equal_bytes(tmp_path):
    for count in (1, 61):
        values = {f"case {number}": number / count for number in range(count)}
        plot_bars(values, "Dice by case", "Dice", tmp_path / "one.png")
        plot_bars(dict(reversed(values.items())), "Dice by case", "Dice", tmp_path / "two.png")
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
        assert cv2.imread(str(tmp_path / "one.png")).std() > 0


def test_pairs_are_drawn_also_where_all_are_alike(tmp_path):
    for pairs in (np.array([[0.9, 0.9]]), np.random.default_rng(0).random((30, 2))):
        plot_pairs(pairs, "dice", ("first", "second"), tmp_path / "pairs.png")
        assert cv2.imread(str(tmp_path / "pairs.png")).std() > 0
