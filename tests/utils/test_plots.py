import subprocess
import sys

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from utils.colours import class_colour
from utils.plots import (
    draw_heat,
    draw_outlines,
    picture_grid,
    plot_dice_by_epoch,
    plot_history,
    plot_lr_finder,
    plot_threshold_curve,
    triptych,
)

GREEN, ORANGE = (0, 158, 115), (213, 94, 0)


def history(epochs, dice=0.5, fold=0):
    columns = {"train_loss": 0.9, "valid_loss": 1.0, "valid_dice": dice, "lr": 1e-3}
    return [{"fold": fold, "epoch": epoch, **columns} for epoch in range(epochs)]


def square(side=60, start=20, stop=40):
    mask = np.zeros((side, side), np.uint8)
    mask[start:stop, start:stop] = 1
    return mask


def grey(side=60):
    return np.full((side, side, 3), 128, np.uint8)


def is_picture(path):
    image = cv2.imread(str(path))
    return image is not None and image.std() > 0


@pytest.mark.parametrize(
    "rows",
    [[], history(1), history(5, float("nan")), history(3) + history(3, 0.7, fold=1), pd.DataFrame(history(4))],
    ids=["nothing", "one epoch", "NaN Dice", "two folds", "DataFrame"],
)
def test_history_is_drawn_whatever_it_holds(rows, tmp_path):
    for name, plot in (("history.png", plot_history), ("dice.png", plot_dice_by_epoch)):
        plot(rows, tmp_path / name)
        assert is_picture(tmp_path / name)


@pytest.mark.parametrize("height", [0.8, 0.0, float("nan")])
def test_threshold_curve_is_drawn_whatever_its_height(height, tmp_path):
    thresholds = np.arange(1, 256) / 255
    plot_threshold_curve(thresholds, np.full(255, height), 0.42, tmp_path / "curve.png")
    assert is_picture(tmp_path / "curve.png")


@pytest.mark.parametrize("losses", [[1.0, 0.8, 0.7, 9.0], [1.0, 1.0, 1.0, 1.0], [float("nan")] * 4])
@pytest.mark.parametrize("suggestion", [1e-3, None])
def test_lr_finder_is_drawn_whatever_its_losses(losses, suggestion, tmp_path):
    plot_lr_finder(np.array([1e-4, 1e-3, 1e-2, 1e-1]), np.array(losses), suggestion, tmp_path / "lr.png")
    assert is_picture(tmp_path / "lr.png")


def test_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        plot_history(history(3), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_plotting_leaves_the_global_style_alone(tmp_path):
    before = dict(mpl.rcParams)
    plot_history(history(2), tmp_path / "history.png")
    assert dict(mpl.rcParams) == before


def test_outlines_are_green_for_truth_and_orange_for_prediction():
    image = grey(200)
    truth, prediction = square(200, 20, 90), square(200, 120, 180)
    drawn = draw_outlines(image, {"truth": truth, "prediction": prediction}, line_px=3)
    assert tuple(drawn[20, 50]) == GREEN
    assert tuple(drawn[120, 150]) == ORANGE
    assert tuple(drawn[50, 50]) == (128, 128, 128)
    assert (image == 128).all()  # the input stays as it was


def test_with_several_classes_each_has_its_colour_in_truth_and_prediction():
    truth, prediction = square(200, 20, 90), 2 * square(200, 120, 180)
    drawn = draw_outlines(grey(200), {"truth": truth, "prediction": prediction}, line_px=3, by_class=True)
    assert tuple(drawn[20, 50]) == class_colour(1)
    assert tuple(drawn[120, 150]) == class_colour(2)


def test_outlines_of_empty_masks_leave_the_picture():
    empty = np.zeros((60, 60), np.uint8)
    np.testing.assert_array_equal(draw_outlines(grey(), {"truth": empty, "prediction": empty}), grey())


def test_lines_are_wider_on_larger_pictures():
    def green_share(side):
        drawn = draw_outlines(grey(side), {"truth": square(side, side // 4, side // 2)})
        return (drawn == GREEN).all(axis=-1).sum() / side

    assert green_share(1500) > 3 * green_share(150)


def test_outlines_of_another_size_are_refused_with_both_sizes():
    with pytest.raises(ValueError, match=r"truth is \(30, 30\) and its picture \(60, 60\)"):
        draw_outlines(grey(), {"truth": np.zeros((30, 30), np.uint8)})


def test_heat_of_zero_probability_is_the_picture():
    np.testing.assert_array_equal(draw_heat(grey(), np.zeros((60, 60), np.uint8)), grey())


def test_heat_of_certainty_mixes_colour_by_opacity():
    drawn = draw_heat(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 255, np.uint8), opacity=1.0)
    table = cv2.applyColorMap(np.array([[255]], np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0, ::-1]
    assert (drawn == table).all()


def test_heat_is_stretched_to_the_picture():
    probability = np.zeros((6, 6), np.uint8)
    probability[:, 3:] = 255
    drawn = draw_heat(grey(), probability)
    assert drawn.shape == (60, 60, 3)
    assert (drawn[:, :20] == 128).all()
    assert (drawn[:, 40:] != 128).any(axis=-1).all()


@pytest.mark.parametrize("truth", [None, np.zeros((60, 60), np.uint8), square()])
def test_triptych_is_drawn_with_any_truth(truth, tmp_path):
    triptych(grey(), truth, square(), "case: Dice 0.90", tmp_path / "triptych.png")
    assert is_picture(tmp_path / "triptych.png")


def test_grid_shows_grey_pictures_several_classes_and_ignored_areas(tmp_path):
    several = square() * 2
    several[:5], several[10, 10] = 255, 1
    rows = [(grey()[..., 0], several, square()), (grey(), None, np.zeros((60, 60), np.uint8))]
    picture_grid(rows, ["one", "two"], tmp_path / "grid.png")
    assert is_picture(tmp_path / "grid.png")


def test_grid_without_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got 0 rows"):
        picture_grid([], [], tmp_path / "grid.png")


def test_a_title_with_dollar_signs_is_text_and_no_formula(tmp_path):
    picture, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    triptych(picture, mask, mask, "cost$_$x", tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_drawing_outlines_does_not_wait_for_matplotlib():
    code = "import sys, utils.plots; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]
