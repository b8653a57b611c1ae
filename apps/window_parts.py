"""The widgets of the window, how they are laid out and what they say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QBoxLayout,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QSlider,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from apps.picture_view import PictureView

STYLE = """
* { font-size: 14px }
QMainWindow, QWidget#side { background: #f6f7f8 }
QLabel, QRadioButton { color: #22262b }
QLabel#quiet { color: #5b626b }
QLabel#head { font-weight: 600 }
QPushButton { padding: 7px 12px; border: 1px solid #c9ced4; border-radius: 6px; background: white; color: #22262b }
QPushButton:hover { background: #eef1f4 }
QPushButton:disabled { color: #a3a9b1; background: #f1f2f4; border-color: #e1e4e8 }
QPushButton#main { background: #00795c; border-color: #00795c; color: white; font-weight: 600 }
QPushButton#main:hover { background: #00664e }
QPushButton#main:disabled { background: #b9d3cb; border-color: #b9d3cb }
QListWidget { border: 1px solid #d5d9de; border-radius: 6px; background: white; color: #22262b; padding: 4px }
QListWidget { show-decoration-selected: 1; outline: 0 }
QListWidget::item { padding: 5px 4px; border: none; border-radius: 4px }
QListWidget::item:selected { background: #d7ebe5; color: #22262b }
QSlider { min-height: 22px }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: #d5d9de }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: #009e73 }
QSlider::handle:horizontal {
    width: 16px; height: 16px; margin: -7px 0; border: 1px solid #9aa1a9; border-radius: 8px; background: white
}
QProgressBar { border: none; border-radius: 3px; background: #e1e4e8; max-height: 6px }
QProgressBar::chunk { border-radius: 3px; background: #009e73 }
"""
LOOKS = ("Overlay", "Image", "Mask")


class Parts:
    """The widgets of a window."""

    def __init__(self, window: QMainWindow):
        window.setWindowTitle("Segmentation")
        window.setStyleSheet(STYLE)
        window.resize(1180, 760)
        self._make()
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self._side())
        split.addWidget(self._main())
        split.setStretchFactor(1, 1)
        split.setSizes([320, 860])
        split.setChildrenCollapsible(False)
        window.setCentralWidget(split)

    def _make(self) -> None:
        self.weights, self.weights_name = QPushButton("Choose weights ..."), _quiet("No weights yet")
        self.add, self.add_folder = QPushButton("Add pictures ..."), QPushButton("Add folder ...")
        self.save_to, self.place = QPushButton("Save to ..."), _quiet("Results are not saved")
        self.pictures = QListWidget()
        self.pictures.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.process, self.cancel = QPushButton("Process"), QPushButton("Cancel")
        self.process.setObjectName("main")
        self.save = QPushButton("Save at this threshold")
        self.view, self.bar = PictureView(), QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.status, self.key, self.value = _quiet(""), QLabel(), QLabel()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(1, 99)
        self.slider.setValue(50)
        self.tuned, self.tuned_value, self.moved = QPushButton("Tuned"), 50, False
        self.tuned.setToolTip("Back to the threshold that the weights carry")
        self.looks = {name: QRadioButton(name) for name in LOOKS}
        self.looks["Overlay"].setChecked(True)
        self._group = QButtonGroup()
        for button in self.looks.values():
            self._group.addButton(button)

    def _side(self) -> QWidget:
        side = QWidget()
        side.setObjectName("side")
        side.setMinimumWidth(310)
        column = QVBoxLayout(side)
        column.setContentsMargins(16, 16, 12, 16)
        column.setSpacing(8)
        for head, widgets in (
            ("Weights", [self.weights, self.weights_name]),
            ("Pictures", [_row(self.add, self.add_folder), self.pictures]),
            ("Results", [self.save_to, self.place, self.save]),
        ):
            column.addWidget(_head(head))
            for widget in widgets:
                column.addWidget(widget)
            column.addSpacing(6)
        column.addWidget(_row(self.process, self.cancel))
        return side

    def _main(self) -> QWidget:
        main = QWidget()
        column = QVBoxLayout(main)
        column.setContentsMargins(8, 16, 16, 12)
        column.setSpacing(10)
        column.addWidget(self.view, 1)
        self.value.setMinimumWidth(48)
        self.slider.setMinimumWidth(160)
        controls = _row(*self.looks.values(), QLabel("   Threshold"), self.slider, self.value, self.tuned)
        column.addWidget(controls)
        column.addWidget(self.key)
        column.addWidget(self.bar)
        column.addWidget(self.status)
        return main

    def say(self, text: str) -> None:
        """Show a line at the bottom."""
        self.status.setText(text)

    def name_weights(self, path: Path) -> None:
        """Show which weights are loaded."""
        self.weights_name.setText(path.name)
        self.weights_name.setToolTip(str(path))

    def name_place(self, folder: Path | None) -> None:
        """Show where results go."""
        self.place.setText(f"in {folder.name or folder}" if folder else "Results are not saved")
        self.place.setToolTip(str(folder or ""))

    def start_threshold(self, threshold: float) -> None:
        """Begin at the tuned threshold."""
        self.tuned_value = round(100 * threshold)
        self.reset_threshold()

    def reset_threshold(self) -> None:
        """Go back to the tuned threshold."""
        self.slider.blockSignals(True)
        self.slider.setValue(self.tuned_value)
        self.slider.blockSignals(False)
        self.moved = False

    @property
    def threshold(self) -> float | None:
        """What the slider says, or None for the tuned one."""
        return self.slider.value() / 100 if self.moved else None

    def show_threshold(self) -> None:
        """Show the number beside the slider."""
        self.value.setText(f"{self.slider.value() / 100:.2f}")
        self.tuned.setEnabled(self.moved)

    def show_classes(self, classes: Sequence[str]) -> None:
        """Show the colour of each class."""
        self.show_share(classes, None)

    def show_share(self, classes: Sequence[str], mask: np.ndarray | None) -> None:
        """Show the colour of each class and, of a mask, its share of the picture."""
        from html import escape

        from utils.plots import class_colours

        counts = None if mask is None else np.bincount(mask.ravel(), minlength=len(classes) + 1) / mask.size
        shares = ["" if counts is None else f" {100 * counts[index]:.1f} %" for index in range(1, len(classes) + 1)]
        colours = class_colours(classes).items()
        chips = [
            f'<span style="color:{colour}">■</span> {escape(name)}{share}'
            for (name, colour), share in zip(colours, shares, strict=True)
        ]
        self.key.setText("&nbsp;&nbsp;&nbsp; ".join(chips))


def _head(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("head")
    return label


def _quiet(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("quiet")
    label.setWordWrap(True)
    return label


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    line: QBoxLayout = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(8)
    for widget in widgets:
        grows = isinstance(widget, QSlider)
        if isinstance(widget, QPushButton) and len(widgets) == 2:
            widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        line.addWidget(widget, int(grows))
    return row
