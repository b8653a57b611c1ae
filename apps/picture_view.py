"""The part of the window that shows a picture, as large as fits."""

import numpy as np
from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

MARGIN = 12


class PictureView(QWidget):
    """A picture on a quiet ground, or a text where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._pixmap: QPixmap | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 240)

    def show_pixels(self, pixels: np.ndarray) -> None:
        """Show pixels (rows, columns, 3) uint8."""
        rows, columns, _ = pixels.shape
        data = np.ascontiguousarray(pixels)
        image = QImage(data.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        self._pixmap = QPixmap.fromImage(image)
        self.update()

    def show_text(self, text: str) -> None:
        """Show a text in place of a picture."""
        self.text, self._pixmap = text, None
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Draw it in the middle."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#1d2024"))
        room = self.size() - QSize(2 * MARGIN, 2 * MARGIN)
        if self._pixmap is None:
            painter.setPen(QColor("#aab0b8"))
            inside = self.rect().adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
            painter.drawText(inside, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.text)
            return
        ratio = self.devicePixelRatioF()
        fitted = self._pixmap.scaled(
            room * ratio, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        fitted.setDevicePixelRatio(ratio)
        size = fitted.deviceIndependentSize().toSize()
        painter.drawPixmap(QPoint((self.width() - size.width()) // 2, (self.height() - size.height()) // 2), fitted)
