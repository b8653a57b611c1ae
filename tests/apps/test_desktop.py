import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from apps.desktop import main
from apps.segmenter import build_segmenter, load_app_cfg
from tests.pictures import save_disc, save_weights


@pytest.fixture(scope="module")
def app():
    import os

    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtWidgets import QApplication

    return QApplication.instance() or QApplication([])


@pytest.fixture
def weights(tmp_path):
    return save_weights(tmp_path / "weights")


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        save_disc(tmp_path / "in" / f"{number}.png", (90, 130), seed=number)
    return sorted((tmp_path / "in").iterdir())


@pytest.fixture
def window(app):
    from apps.window import Window

    window = Window(lambda model: load_app_cfg(model, 0.0))
    window.show()
    yield window
    window.close()


def wait(app, condition, seconds=60):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        app.processEvents()
        time.sleep(0.005)
    app.processEvents()


def loaded(app, window, weights, pictures):
    window.load(weights)
    wait(app, lambda: window.work is None)
    window.add_pictures(pictures)
    return window


def shown(window):
    """The pixels of the window's picture, without the ground around them."""
    image = window.parts.view._pixmap.toImage()
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows, columns = image.height(), image.width()
    data = np.frombuffer(image.constBits(), np.uint8).reshape(rows, image.bytesPerLine())
    return data[:, : 3 * columns].reshape(rows, columns, 3).copy()


def test_nothing_can_be_processed_before_weights_and_pictures_are_there(app, window, weights, pictures):
    parts = window.parts
    assert not parts.process.isEnabled()
    assert not parts.save.isEnabled()
    assert parts.status.text() == "Choose weights to begin."
    loaded(app, window, weights, [])
    assert not parts.process.isEnabled()
    assert parts.weights_name.text() == "mean.onnx"
    window.add_pictures(pictures)
    assert parts.process.isEnabled()
    assert not parts.cancel.isEnabled()


def test_pictures_are_processed_saved_and_shown(app, window, weights, pictures, tmp_path):
    loaded(app, window, weights, pictures)
    window.save_into(tmp_path / "out")
    window.process()
    assert window.parts.cancel.isEnabled()
    assert not window.parts.process.isEnabled()
    wait(app, lambda: window.work is None)
    assert window.parts.status.text() == "3 of 3 pictures processed"
    with build_segmenter(load_app_cfg(weights, 0.0))(pictures[0]) as found:
        with Image.open(tmp_path / "out" / "0.png") as saved:
            np.testing.assert_array_equal(np.asarray(saved), found.overlay())
        with Image.open(tmp_path / "out" / "0_mask.png") as saved:
            np.testing.assert_array_equal(np.asarray(saved), found.mask())
        np.testing.assert_array_equal(shown(window), found.overlay())
        window.parts.looks["Image"].setChecked(True)
        np.testing.assert_array_equal(shown(window), found.picture)
        window.parts.looks["Mask"].setChecked(True)
        assert (shown(window).any(-1) >= (found.mask() > 0)).all()
        assert not shown(window)[0, 0].any()


def test_the_threshold_is_live_and_can_be_saved(app, window, weights, pictures, tmp_path):
    loaded(app, window, weights, pictures[:1])
    window.process()
    wait(app, lambda: window.work is None)
    parts = window.parts
    tuned = shown(window).copy()
    assert parts.value.text() == "0.50"
    assert not parts.save.isEnabled()
    parts.slider.setValue(5)
    assert parts.value.text() == "0.05"
    assert "100.0 %" in parts.key.text()
    assert (shown(window) != tuned).any()
    window.save_into(tmp_path / "out")
    window.save()
    wait(app, lambda: window.work is None)
    with Image.open(tmp_path / "out" / "0_mask.png") as saved:
        assert np.asarray(saved).all()
    parts.tuned.click()
    np.testing.assert_array_equal(shown(window), tuned)


def test_one_bad_picture_is_marked_and_does_not_stop_the_others(app, window, weights, pictures):
    pictures[0].write_bytes(b"no picture")
    loaded(app, window, weights, pictures)
    window.process()
    wait(app, lambda: window.work is None)
    assert window.parts.status.text() == "2 of 3 pictures processed, 1 failed"
    assert [window.parts.pictures.item(row).text()[0] for row in range(3)] == ["\u2717", "\u2713", "\u2713"]
    window.parts.pictures.setCurrentRow(0)
    assert "0.png cannot be read" in window.parts.view.text


def test_cancel_ends_the_work_between_patches(app, window, weights, pictures):
    loaded(app, window, weights, pictures)
    begun, go_on, real = threading.Event(), threading.Event(), window.segmenter

    def slowly(patches):
        begun.set()
        go_on.wait(30)
        return real.predictor(patches)

    window.segmenter = replace(real, predictor=slowly)
    window.process()
    wait(app, begun.is_set)
    window.cancel()
    go_on.set()
    wait(app, lambda: window.work is None)
    assert window.parts.status.text().startswith("Stopped.")
    assert len(window.found) < 3
    assert window.parts.process.isEnabled()


def test_weights_that_do_not_load_say_why(app, window, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"none")
    window.load(tmp_path / "a.onnx")
    wait(app, lambda: window.work is None)
    assert "is no readable ONNX file" in window.parts.status.text()
    assert not window.parts.process.isEnabled()


def test_results_do_not_go_among_the_pictures(app, window, weights, pictures):
    loaded(app, window, weights, pictures)
    window.save_into(pictures[0].parent)
    assert window.folder is None
    assert "a folder of their own" in window.parts.status.text()


def test_a_picture_is_listed_once(window, pictures):
    window.add_pictures(pictures)
    window.add_pictures(pictures)
    assert window.parts.pictures.count() == 3


def test_scratch_files_are_gone_when_the_window_closes(app, window, weights, pictures, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    loaded(app, window, weights, pictures)
    window.process()
    wait(app, lambda: len(window.found) == 1)
    window.close()
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("size", [(700, 500), (1180, 760), (1900, 1000)])
def test_no_text_is_clipped_at_any_size(size, app, window, weights, pictures):
    from PySide6.QtWidgets import QLabel, QPushButton, QRadioButton

    loaded(app, window, weights, pictures)
    window.process()
    wait(app, lambda: window.work is None)
    window.resize(*size)
    app.processEvents()
    for kind in (QLabel, QPushButton, QRadioButton):
        for widget in window.findChildren(kind):
            needed = widget.minimumSizeHint()
            assert widget.width() >= needed.width(), widget.text()
            assert widget.height() >= needed.height(), widget.text()
    assert window.grab().toImage().pixelColor(5, 5).lightness() > 200


def test_a_call_that_cannot_work_exits_with_2(tmp_path, capsys):
    assert main(["-m", str(tmp_path / "gone.onnx")]) == 2
    assert "there are no weights" in capsys.readouterr().err


def test_pyside_that_is_not_installed_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "PySide6.QtWidgets", None)
    assert main([]) == 2
    assert "requirements-desktop.txt" in capsys.readouterr().err
