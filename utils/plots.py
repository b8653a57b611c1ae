"""Pictures of a run: curves, outlines, heat and side-by-side panels, in one style and without global state.

Truth is green and prediction orange wherever a mask has one class; masks of several classes have one colour a class.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from utils.atomic import atomic_path
from utils.colours import CLASS_COLOURS, class_colour, colour_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

IGNORE = 255
TRUTH = "#009e73"
PREDICTION = "#d55e00"
INK, QUIET, RULE = "#22262b", "#6b7280", "#e3e5e9"
# colours of Okabe and Ito, which people with any common colour vision tell apart
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900")
GREY = "#8a8f98"
PANEL_PX = 1000  # a picture in a panel is shrunk to this longest side

Row = tuple[np.ndarray, np.ndarray | None, np.ndarray]


# ---- curves


def plot_history(history: Any, path: Path) -> None:
    """Loss and Dice by epoch with the best epoch of each fold marked.

    `history` is a DataFrame or an iterable of mappings with fold, epoch, train_loss, valid_loss and valid_dice.
    """
    from matplotlib.lines import Line2D

    folds = _by_fold(history)
    figure = new_figure(11, 4.2)
    left, right = figure.subplots(1, 2)
    for number, (fold, rows) in enumerate(folds.items()):
        _plot_fold(left, right, fold, rows, PALETTE[number % len(PALETTE)])
    dress(left, "Loss", "epoch", "loss")
    dress(right, "Validation Dice", "epoch", "Dice")
    right.set_ylim(0, 1.02)
    styles = [Line2D([], [], color=QUIET, linestyle=style, label=label) for style, label in STYLES]
    add_legend(left, styles)
    if folds:
        add_legend(right, None)
    save_figure(figure, path)


STYLES = (("-", "validation"), (":", "training"))


def plot_dice_by_epoch(history: Any, path: Path) -> None:
    """Validation Dice by epoch alone, with the best epoch of each fold marked; `history` as for `plot_history`."""
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    for number, (fold, rows) in enumerate(_by_fold(history).items()):
        _plot_dice(axes, fold, rows, PALETTE[number % len(PALETTE)])
    dress(axes, "Dice by epoch", "epoch", "validation Dice")
    axes.set_ylim(0, 1.02)
    if axes.lines:
        add_legend(axes, None)
    save_figure(figure, path)


def _by_fold(history: Any) -> dict[Any, list[Mapping[str, Any]]]:
    rows: Iterable[Mapping[str, Any]] = history.to_dict("records") if hasattr(history, "to_dict") else history
    folds: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        folds.setdefault(row["fold"], []).append(row)
    return folds


def _plot_fold(left: "Axes", right: "Axes", fold: Any, rows: Sequence[Mapping[str, Any]], colour: str) -> None:
    epochs, train, valid = _columns(rows, "epoch", "train_loss", "valid_loss")
    mark = _mark(rows)
    left.plot(epochs, train, ":", color=colour, linewidth=1.6, marker=mark, markersize=3)
    left.plot(epochs, valid, "-", color=colour, linewidth=1.8, marker=mark, markersize=3)
    _plot_dice(right, fold, rows, colour)


def _plot_dice(axes: "Axes", fold: Any, rows: Sequence[Mapping[str, Any]], colour: str) -> None:
    epochs, dice = _columns(rows, "epoch", "valid_dice")
    label = f"fold {fold}"
    if np.isfinite(dice).any():
        best = int(np.nanargmax(dice))
        label = f"fold {fold}: best {dice[best]:.3f} at epoch {epochs[best]:g}"
        axes.plot(epochs[best], dice[best], "o", color=colour, markersize=8, markeredgecolor="white", zorder=4)
    axes.plot(epochs, dice, "-", color=colour, linewidth=1.8, marker=_mark(rows), markersize=3, label=label)


def _columns(rows: Sequence[Mapping[str, Any]], *keys: str) -> list[np.ndarray]:
    return [np.array([row[key] for row in rows], float) for key in keys]


def _mark(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """A few epochs are drawn as dots, too."""
    return "o" if len(rows) < 4 else None


def plot_threshold_curve(thresholds: np.ndarray, dice: np.ndarray, best_threshold: float, path: Path) -> None:
    """Dice against threshold with the tuned threshold marked; both arrays are (n,), thresholds ascending."""
    thresholds, dice = np.asarray(thresholds, float), np.asarray(dice, float)
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    axes.plot(thresholds, dice, color=PREDICTION, linewidth=2.2)
    height = float(np.interp(best_threshold, thresholds, dice))
    axes.axvline(best_threshold, color=QUIET, linewidth=1, linestyle="--")
    if np.isfinite(height):
        axes.plot(best_threshold, height, "o", color=PREDICTION, markersize=9, markeredgecolor="white", zorder=4)
    score = f"Dice {height:.3f} at " if np.isfinite(height) else ""
    _note(axes, best_threshold, f"{score}{best_threshold:.2f}", to_the_left=best_threshold > 0.6)
    dress(axes, "Dice against threshold", "threshold on the probability", "Dice")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    save_figure(figure, path)


def plot_lr_finder(rates: np.ndarray, losses: np.ndarray, suggestion: float | None, path: Path) -> None:
    """Loss against learning rate (both (n,)) on a logarithmic axis with the suggested rate marked."""
    rates, losses = np.asarray(rates, float), np.asarray(losses, float)
    if len(rates) == 0:
        raise ValueError("the learning-rate finder gave no rates; let it run for at least one batch")
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    axes.plot(rates, losses, color=PALETTE[0], linewidth=2.2)
    axes.set_xscale("log")
    axes.set_xlim(rates.min() / 1.5, rates.max() * 1.5)
    finite = losses[np.isfinite(losses)]
    if len(finite):
        low, first = float(finite.min()), float(finite[: max(1, len(finite) // 2)].max())
        room = max(first - low, 1e-3 * (abs(low) + 1e-6))
        axes.set_ylim(low - 0.15 * room, first + 0.5 * room)  # the blow-up at the end would flatten all the rest
    if suggestion is not None:
        axes.axvline(suggestion, color=PREDICTION, linewidth=1.6, linestyle="--", label=f"suggested {suggestion:.1e}")
        add_legend(axes, None)
    dress(axes, "Learning-rate finder", "learning rate", "loss")
    save_figure(figure, path)


# ---- pictures


def draw_outlines(
    image: np.ndarray, masks: Mapping[str, np.ndarray], line_px: int | None = None, by_class: bool = False
) -> np.ndarray:
    """Contours of masks (H, W) over a picture (H, W, 3) or (H, W) uint8; a new (H, W, 3) picture.

    The mask named 'truth' is drawn green, 'prediction' orange, others in the palette's order; ignored areas grey. With
    `by_class` each class has its own colour in all masks. The first line is `line_px` wide, by default in proportion to
    the picture, and edged with white; the others are slimmer, so that lines that coincide are both seen.
    """
    canvas = _rgb(image).copy()
    widest = line_px or max(1, round(max(canvas.shape[:2]) / 300))
    for number, (name, mask) in enumerate(masks.items()):
        _same_size(canvas, mask, name)
        colour = NAMED.get(name, PALETTE[number % len(PALETTE)])
        width = widest if number == 0 else max(1, round(0.55 * widest))
        for value in _classes(mask):
            own = class_colour(value) if by_class else _bytes(colour)
            _stroke(canvas, mask == value, _bytes(GREY) if value == IGNORE else own, width, halo=number == 0)
    return canvas


NAMED = {"truth": TRUTH, "prediction": PREDICTION}


def draw_heat(image: np.ndarray, probability: np.ndarray, opacity: float = 0.65) -> np.ndarray:
    """Probability (h, w) uint8 as a translucent layer over a picture (H, W, 3) or (H, W) uint8; a new picture.

    The layer is stretched to the picture if it is of another size; nothing covers the picture where it is 0.
    """
    canvas = _rgb(image)
    if probability.shape != canvas.shape[:2]:
        probability = cv2.resize(probability, canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    cover = (opacity * np.sqrt(np.arange(256) / 255)).astype(np.float32)
    kept = canvas * (1 - cover)[probability][..., None]
    return np.round(kept + (table * cover[:, None])[probability]).astype(np.uint8)


def triptych(image: np.ndarray, truth: np.ndarray | None, prediction: np.ndarray, title: str, path: Path) -> None:
    """Input, ground truth and prediction side by side under a title; pictures (H, W[, 3]), masks (H, W), uint8."""
    _save_rows([(image, truth, prediction)], [title], path, width_in=11)


def picture_grid(rows: Sequence[Row], titles: Sequence[str], path: Path) -> None:
    """A row of input, ground truth and prediction a picture, each with its title."""
    if len(rows) == 0 or len(rows) != len(titles):
        raise ValueError(f"a picture grid needs rows and one title each; got {len(rows)} rows, {len(titles)} titles")
    _save_rows(rows, titles, path, width_in=9)


def _save_rows(rows: Sequence[Row], titles: Sequence[str], path: Path, width_in: float) -> None:
    shapes = [row[0].shape for row in rows]
    heights = [width_in / 3 * shape[0] / shape[1] + 0.27 for shape in shapes]
    figure = new_figure(width_in, sum(heights), w_pad=0.03, h_pad=0.04)
    grid = figure.subplots(len(rows), 3, squeeze=False, gridspec_kw={"height_ratios": heights})
    several = _have_several_classes(rows)
    for axes, row, title in zip(grid, rows, titles, strict=True):
        _show_row(axes, row, title, several)
    save_figure(figure, path)


def _show_row(axes: np.ndarray, row: Row, title: str, several: bool) -> None:
    image, truth, prediction = row
    panels = (("", None, INK), ("ground truth", truth, TRUTH), ("prediction", prediction, PREDICTION))
    for place, (name, mask, colour) in zip(axes, panels, strict=True):
        blank = name != "" and mask is None
        place.imshow(np.full_like(_small(_rgb(image)), 245) if blank else _panel(image, mask, colour, several))
        if blank:
            place.text(0.5, 0.5, "no label", transform=place.transAxes, ha="center", va="center", color=QUIET)
        place.set_title(
            name or title,
            loc="left",
            fontsize=10,
            color=INK if name == "" or several else colour,
            pad=4,
            parse_math=False,
        )
        place.set_axis_off()


def _panel(image: np.ndarray, mask: np.ndarray | None, colour: str, several: bool) -> np.ndarray:
    if mask is None:
        return _small(_rgb(image))
    _same_size(image, mask, "mask")
    colours = [colour_name(each) for each in CLASS_COLOURS] if several else [colour]
    return draw_areas(_small(image), _small(mask, cv2.INTER_NEAREST), colours)


def draw_areas(image: np.ndarray, mask: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """Each class of a mask (H, W) as a translucent area inside a line, over a picture (H, W[, 3]); a new picture.

    The classes take the colours in turn; what is ignored is grey.
    """
    canvas = _rgb(image).copy()
    for value in _classes(mask):
        paint = _bytes(GREY if value == IGNORE else colours[(value - 1) % len(colours)])
        inside = mask == value
        canvas[inside] = np.round(0.62 * canvas[inside] + 0.38 * np.array(paint)).astype(np.uint8)
        _stroke(canvas, inside, paint, max(1, round(max(mask.shape) / 300)), halo=False)
    return canvas


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """The colour of each class as '#rrggbb': green for the only one, else as in every other product."""
    return {name: colour_name(class_colour(i)) if len(classes) > 1 else TRUTH for i, name in enumerate(classes, 1)}


Colour = tuple[int, int, int]


def _stroke(canvas: np.ndarray, inside: np.ndarray, colour: Colour, width: int, halo: bool = True) -> None:
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if halo:
        cv2.drawContours(canvas, contours, -1, (255, 255, 255), width + 2 * max(1, width // 3), cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, width, cv2.LINE_AA)


def _have_several_classes(rows: Sequence[Row]) -> bool:
    masks = [mask for _, truth, prediction in rows for mask in (truth, prediction) if mask is not None]
    return len({value for mask in masks for value in _classes(mask)} - {IGNORE}) > 1


def _classes(mask: np.ndarray) -> list[int]:
    return [int(value) for value in np.unique(mask) if value != 0]


def _same_size(image: np.ndarray, mask: np.ndarray, name: str) -> None:
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"{name} is {mask.shape} and its picture {image.shape[:2]}; give both at one size (row, column)"
        )


def _rgb(image: np.ndarray) -> np.ndarray:
    """Grey (H, W) or (H, W, 1) as colour; colour stays as it is."""
    return image if image.shape[2:] == (3,) else np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)


def _small(image: np.ndarray, interpolation: int = cv2.INTER_AREA) -> np.ndarray:
    factor = PANEL_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=interpolation) if factor < 1 else image


def _bytes(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


# ---- style


def new_figure(width: float, height: float, w_pad: float = 0.15, h_pad: float = 0.12) -> "Figure":
    """An empty figure; all in inches."""
    from matplotlib.figure import Figure  # half a second, which whoever draws outlines does not wait for
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=w_pad, h_pad=h_pad))


def dress(axes: "Axes", title: str, x: str, y: str) -> None:
    """Give axes their title, labels and quiet lines."""
    axes.set_title(title, loc="left", fontsize=13, color=INK, pad=10, fontweight="bold", parse_math=False)
    axes.set_xlabel(x, fontsize=11, color=QUIET)
    axes.set_ylabel(y, fontsize=11, color=QUIET)
    axes.tick_params(colors=QUIET, labelsize=10, length=0)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)


def add_legend(axes: "Axes", handles: "list[Line2D] | None") -> None:
    """Say what the lines are, where there is room; None takes all that have a label."""
    axes.legend(handles=handles, fontsize=9.5, frameon=False, labelcolor=INK, loc="best")


def _note(axes: "Axes", x: float, text: str, to_the_left: bool) -> None:
    """Write beside a vertical line, at the foot of the axes."""
    offset, side = (-8, "right") if to_the_left else (8, "left")
    place = axes.get_xaxis_transform()
    axes.annotate(text, (x, 0.06), (offset, 0), place, "offset points", ha=side, fontsize=11, color=INK)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG in one step; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_path(path) as draft:
        figure.savefig(draft, dpi=140, facecolor="white", metadata={"Software": None})
