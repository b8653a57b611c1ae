"""The window: pictures on the left, what was found in them on the right, a threshold that is live."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QFileDialog, QListWidgetItem, QMainWindow
from yacs.config import CfgNode

from apps.desktop_work import Work, prediction, saving
from apps.pictures import ENDINGS, list_pictures, name_outputs, same_place
from apps.segmenter import MEGA, Segmentation, Segmenter, build_segmenter, draw_mask, preview
from apps.window_parts import Parts

PREVIEW_PX = 1600  # longest side of what is shown; what is saved has the size of the picture
LARGEST_PREVIEW_PX = 64 * MEGA  # pixels of a picture that is shown before weights, and so a limit, are loaded
PATH = Qt.ItemDataRole.UserRole
WEIGHTS = "Weights (*.safetensors *.onnx)"
PICTURES = "Pictures (" + " ".join(f"*{ending} *{ending.upper()}" for ending in ENDINGS) + ");;All files (*)"


class Window(QMainWindow):
    """Choose weights, pictures and a place to save, process them, look at each at any threshold."""

    def __init__(self, load_cfg: Callable[[Path], CfgNode]):
        super().__init__()
        self.load_cfg = load_cfg
        self.segmenter: Segmenter | None = None
        self.folder: Path | None = None
        self.found: dict[Path, Segmentation] = {}
        self.troubles: dict[Path, str] = {}
        self.work: Work | None = None
        self._preview: tuple[Path, np.ndarray] | None = None
        self.parts = Parts(self)
        self._connect()
        self._refresh()

    def _connect(self) -> None:
        parts = self.parts
        parts.weights.clicked.connect(self.choose_weights)
        parts.add.clicked.connect(self.choose_pictures)
        parts.add_folder.clicked.connect(self.choose_folder)
        parts.save_to.clicked.connect(self.choose_place)
        parts.process.clicked.connect(self.process)
        parts.save.clicked.connect(self.save)
        parts.cancel.clicked.connect(self.cancel)
        parts.pictures.currentItemChanged.connect(lambda *_: self.show_current())
        parts.slider.valueChanged.connect(lambda *_: self._moved(True))
        parts.tuned.clicked.connect(lambda *_: self._moved(False))
        for button in parts.looks.values():
            button.toggled.connect(lambda *_: self.show_current())

    # ---- what the user chooses

    def choose_weights(self) -> None:
        """Ask for a weights file and load it."""
        name, _ = QFileDialog.getOpenFileName(self, "Weights", "", WEIGHTS)
        if name:
            self.load(Path(name))

    def choose_pictures(self) -> None:
        """Ask for picture files."""
        names, _ = QFileDialog.getOpenFileNames(self, "Pictures", "", PICTURES)
        self.add_pictures([Path(name) for name in names])

    def choose_folder(self) -> None:
        """Ask for a folder and take all pictures in it."""
        name = QFileDialog.getExistingDirectory(self, "Folder of pictures")
        if name:
            self.add_pictures(list_pictures(Path(name)))

    def choose_place(self) -> None:
        """Ask for the folder of the results."""
        name = QFileDialog.getExistingDirectory(self, "Folder of the results")
        if name:
            self.save_into(Path(name))

    def save_into(self, folder: Path) -> None:
        """Have results saved in a folder, which may not be one of the pictures', where they would replace these."""
        if any(same_place(folder, path.parent) for path in self.paths):
            self.parts.say("The results need a folder of their own, not that of the pictures.")
            return
        self.folder = folder
        self._refresh()

    def add_pictures(self, paths: Sequence[Path]) -> None:
        """Add pictures to the list; those that are there already stay once."""
        known = {str(path) for path in self.paths}
        for path in paths:
            if str(path) not in known:
                item = QListWidgetItem(path.name)
                item.setData(PATH, path)
                item.setToolTip(str(path))
                self.parts.pictures.addItem(item)
        if self.parts.pictures.currentRow() < 0:
            self.parts.pictures.setCurrentRow(0)
        self._refresh()

    @property
    def paths(self) -> list[Path]:
        """The pictures of the list."""
        pictures = self.parts.pictures
        return [pictures.item(row).data(PATH) for row in range(pictures.count())]

    # ---- work beside the window

    def load(self, model: Path) -> None:
        """Load weights; what was predicted with others is forgotten."""
        self._forget()
        self.segmenter = None
        self._start(
            f"Loading {model.name} ...", [(model, lambda work: build_segmenter(self.load_cfg(model)))], self._loaded
        )

    def process(self) -> None:
        """Predict every picture that has not been, and save it where a folder was chosen."""
        if self.segmenter is None:
            return
        waiting = [path for path in self.paths if path not in self.found]
        outputs = self._outputs()
        steps = [(path, prediction(self.segmenter, path, outputs.get(path), self.parts.threshold)) for path in waiting]
        self._start(f"Processing {len(steps)} pictures ...", steps, self._predicted)

    def save(self) -> None:
        """Save every predicted picture at the threshold that is shown."""
        outputs, threshold = self._outputs(), self.parts.threshold
        steps = [(path, saving(found, outputs[path], threshold)) for path, found in self.found.items()]
        self._start(f"Saving {len(steps)} pictures ...", steps, lambda path, found: None)

    def cancel(self) -> None:
        """Ask the work to end."""
        if self.work:
            self.work.cancel()
            self.parts.say("Stopping ...")

    def _start(self, doing: str, steps: list, take: Callable[[Path, Any], None]) -> None:
        if self.work or not steps:
            return
        self.work = Work(steps, self)
        self.work.fraction.connect(lambda share: self.parts.bar.setValue(round(1000 * share)))
        self.work.result.connect(take)
        self.work.trouble.connect(self._troubled)
        self.work.finished.connect(self._finished)
        self._refresh()
        self.parts.say(doing)
        self.work.start()

    def _loaded(self, path: Path, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        threshold = segmenter.rule.threshold
        mean = threshold if isinstance(threshold, float) else sum(threshold) / len(threshold)
        self.parts.start_threshold(mean)
        self.parts.show_classes(segmenter.reader.classes)
        self.parts.name_weights(path)

    def _predicted(self, path: Path, found: Segmentation) -> None:
        self.found[path] = found
        self.troubles.pop(path, None)
        self._mark(path, "done")

    def _troubled(self, path: Path, message: str) -> None:
        self.troubles[path] = message
        self._mark(path, "failed")

    def _finished(self) -> None:
        work, self.work = self.work, None
        self._refresh()
        if work and work.cancelled:
            self.parts.say(f"Stopped. {self._summary()}")

    def _summary(self) -> str:
        count, failed = len(self.paths), sum(path in self.troubles for path in self.paths)
        if self.segmenter is None:
            return next(iter(self.troubles.values()), "Choose weights to begin.")
        if not count:
            return "Ready. Add pictures or a folder of them."
        return f"{len(self.found)} of {count} pictures processed" + f", {failed} failed" * bool(failed)

    # ---- what is shown

    def _moved(self, by_user: bool) -> None:
        if by_user:
            self.parts.moved = True
        else:
            self.parts.reset_threshold()
        self.show_current()

    def show_current(self) -> None:
        """Show the chosen picture as it is, with its mask, or the mask alone, at the threshold of the slider."""
        parts, item = self.parts, self.parts.pictures.currentItem()
        parts.show_threshold()
        if item is None:
            return parts.view.show_text("Add pictures or a folder of them")
        path = item.data(PATH)
        found = self.found.get(path)
        try:
            if path in self.troubles:
                raise ValueError(self.troubles[path])
            self._show(self._preview_of(path), found)
        except ValueError as error:
            parts.view.show_text(str(error))

    def _show(self, picture: np.ndarray, found: Segmentation | None) -> None:
        parts, classes = self.parts, self.segmenter.reader.classes if self.segmenter else []
        if found is None or parts.looks["Image"].isChecked():
            parts.show_share(classes, None)
            return parts.view.show_pixels(picture)
        mask = found.mask(parts.threshold, PREVIEW_PX)
        ground = np.zeros_like(picture) if parts.looks["Mask"].isChecked() else picture
        parts.view.show_pixels(draw_mask(ground, mask, classes))
        parts.show_share(classes, mask)

    def _preview_of(self, path: Path) -> np.ndarray:
        if self._preview is None or self._preview[0] != path:
            most_px = self.segmenter.most_px if self.segmenter else LARGEST_PREVIEW_PX
            self._preview = path, preview(path, PREVIEW_PX, most_px)
        return self._preview[1]

    def _mark(self, path: Path, state: str) -> None:
        item = self.parts.pictures.item(self.paths.index(path)) if path in self.paths else None
        if item:
            item.setText(f"{'✓' if state == 'done' else '✗'}  {path.name}")
            if item is self.parts.pictures.currentItem():
                self.show_current()

    def _refresh(self) -> None:
        """Enable what can be done now."""
        idle, parts = self.work is None, self.parts
        waiting = [path for path in self.paths if path not in self.found]
        for button in (parts.weights, parts.add, parts.add_folder, parts.save_to):
            button.setEnabled(idle)
        parts.process.setEnabled(idle and self.segmenter is not None and bool(waiting))
        parts.save.setEnabled(idle and self.folder is not None and bool(self.found))
        parts.cancel.setEnabled(not idle)
        parts.bar.setVisible(not idle)
        parts.name_place(self.folder)
        if idle:
            parts.say(self._summary())
        self.show_current()

    # ---- the end

    def _outputs(self) -> dict:
        paths = self.paths
        return dict(zip(paths, name_outputs(paths, self.folder), strict=True)) if self.folder else {}

    def _forget(self) -> None:
        for found in self.found.values():
            found.close()
        self.found, self.troubles, self._preview = {}, {}, None
        for row, path in enumerate(self.paths):
            self.parts.pictures.item(row).setText(path.name)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """End the work and remove the scratch files."""
        if self.work:
            self.work.cancel()
            self.work.wait()
            for made in self.work.made:
                if isinstance(made, Segmentation):
                    made.close()
        self._forget()
        event.accept()
