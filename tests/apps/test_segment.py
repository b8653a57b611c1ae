import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.segment import main
from apps.segmenter import build_segmenter, load_app_cfg
from tests.pictures import save_disc, save_weights
from utils.tables import read_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def weights(tmp_path):
    return save_weights(tmp_path / "weights")


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_one_picture_gives_overlay_and_mask_at_its_size(weights, tmp_path, capsys):
    save_disc(tmp_path / "a.jpg", (91, 133))
    out = tmp_path / "new" / "b.png"
    assert main(["-m", str(weights), "-ii", str(tmp_path / "a.jpg"), "-oi", str(out)]) == 0
    with build_segmenter(load_app_cfg(weights, 0.0))(tmp_path / "a.jpg") as found:
        np.testing.assert_array_equal(pixels_of(out), found.overlay())
        np.testing.assert_array_equal(pixels_of(out.with_name("b_mask.png")), found.mask())
    assert pixels_of(out).shape == (91, 133, 3)
    assert f"1 of 1 pictures in {out}, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["jpg", "tif", "bmp", "PNG"])
def test_the_ending_of_the_overlay_says_its_format(ending, weights, tmp_path):
    save_disc(tmp_path / "a.png")
    assert main(["-m", str(weights), "-ii", str(tmp_path / "a.png"), "-oi", str(tmp_path / f"b.{ending}")]) == 0
    assert pixels_of(tmp_path / f"b.{ending}").shape == (90, 130, 3)


def test_one_bad_picture_of_a_folder_does_not_stop_the_others(weights, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "c.jpg"):
        save_disc(folder / name)
    (folder / "b.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either, and not taken for one")
    (folder / ".hidden.png").write_bytes(b"")
    assert main(["-m", str(weights.parent), "-id", str(folder), "-od", str(out)]) == 1
    names = {path.name for path in out.iterdir()}
    assert names == {"a.png", "a_mask.png", "c.png", "c_mask.png", "failures.csv"}
    assert list(read_table(out / "failures.csv", ["file"])["file"]) == ["b.jpg"]
    said = capsys.readouterr().out
    assert "b.jpg cannot be read" in said
    assert "2 of 3 pictures" in said


def test_a_threshold_changes_the_mask(weights, tmp_path):
    save_disc(tmp_path / "a.png")
    words = ["-m", str(weights), "-ii", str(tmp_path / "a.png"), "-oi", str(tmp_path / "b.png"), "--threshold"]
    assert main([*words, "0.05"]) == 0
    assert pixels_of(tmp_path / "b_mask.png").all()
    assert main([*words, "0.99"]) == 0
    assert not pixels_of(tmp_path / "b_mask.png").any()


def test_the_same_call_gives_the_same_bytes(weights, tmp_path):
    save_disc(tmp_path / "a.png")
    for name in ("b.png", "c.png"):
        main(["-m", str(weights), "-ii", str(tmp_path / "a.png"), "-oi", str(tmp_path / name)])
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    assert (tmp_path / "b_mask.png").read_bytes() == (tmp_path / "c_mask.png").read_bytes()


BAD_CALLS = {
    "nothing to do": ([], "give either one picture"),
    "half a pair": (["-ii", "a.png"], "give either one picture"),
    "both": (["-ii", "a.png", "-oi", "b.png", "-id", "in", "-od", "out"], "give either one picture"),
    "no picture": (["-ii", "gone.png", "-oi", "b.png"], "-ii: 'gone.png' is no file"),
    "no folder": (["-id", "gone", "-od", "out"], "-id: 'gone' is no folder"),
    "empty": (["-id", "empty", "-od", "out"], "-id: empty holds no picture"),
    "no ending": (["-ii", "a.png", "-oi", "b"], "-oi: 'b' must end in one of"),
    "over itself": (["-ii", "a.png", "-oi", "./a.png"], "'a.png' would be overwritten"),
    "mask over itself": (["-ii", "a_mask.png", "-oi", "a.jpg"], "'a_mask.png' would be overwritten"),
    "folder over itself": (["-id", "empty", "-od", "empty/."], "'empty' would be overwritten"),
    "threshold": (["-ii", "a.png", "-oi", "b.png", "--threshold", "2"], "TEST.TH is 2.0"),
    "weights": (["-m", "gone.onnx", "-ii", "a.png", "-oi", "b.png"], "there are no weights at 'gone.onnx'"),
    "no weights": (["-m", "a.png", "-ii", "a.png", "-oi", "b.png"], "holds no .safetensors"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_call_that_cannot_work_exits_with_2_and_leaves_nothing(name, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for file in ("a.png", "a_mask.png"):
        save_disc(tmp_path / file)
    before = sorted(tmp_path.rglob("*"))
    words, message = BAD_CALLS[name]
    assert main(["-m", str(weights), *words]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_exits_with_3(weights, tmp_path, capsys):
    save_disc(tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    assert main(["-m", str(weights), "-ii", str(tmp_path / "a.png"), "-oi", str(tmp_path / "file" / "b.png")]) == 3
    assert "file" in capsys.readouterr().err


def test_help_is_quick():
    begun = time.monotonic()
    words = [sys.executable, "-m", "apps.segment", "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert all(flag in done.stdout for flag in ("-m", "-ii", "-oi", "-id", "-od", "--threshold"))
    assert time.monotonic() - begun < 5  # under a second on a quiet machine
