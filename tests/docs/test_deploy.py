"""The commands of docs/how-to/deploy.md, run where the files that they name exist."""

import shutil
import subprocess

import pytest

from apps import segment, send_image
from config import load_cfg
from tests.docs.test_commands import ROOT, blocks, commands
from tests.pictures import save_disc, save_weights
from tests.server import running

PAGE = ROOT / "docs" / "how-to" / "deploy.md"


@pytest.fixture
def place(tmp_path, monkeypatch):
    weights = tmp_path / "output" / "train" / "heads" / "weights"
    for folder in (weights, weights / "onnx"):
        save_weights(folder).rename(folder / "fold0.onnx")
    (tmp_path / "pictures").mkdir()
    for name in ("picture.jpg", "pictures/a.png", "pictures/b.jpg"):
        save_disc(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_are_segmented_as_shown(place):
    calls = [words[2:] for words in commands(PAGE, "python") if words[1] == "apps.segment"]
    assert len(calls) == 3
    assert [segment.main(words) for words in calls] == [0, 0, 0]
    found = {path.name for path in (place / "results").iterdir()}
    assert found == {"a.png", "a_mask.png", "b.png", "b_mask.png", "failures.csv"}
    assert (place / "overlay_mask.png").exists()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_pictures_are_sent_as_shown(place):
    calls = [words[2:] for words in commands(PAGE, "python") if words[1] == "apps.send_image"]
    assert len(calls) == 2
    (curl,) = commands(PAGE, "curl")
    with running(place / "output" / "train" / "heads" / "weights" / "onnx") as address:
        assert [send_image.main([*words, "--url", address]) for words in calls] == [0, 0]
        (place / "overlay.png").rename(place / "expected.png")
        url = curl[-1].replace("http://127.0.0.1:8000", address)
        assert url != curl[-1]
        subprocess.run(["curl", "--silent", "--fail", *curl[:-1], url], check=True, timeout=60)
    assert (place / "overlay.png").read_bytes() == (place / "expected.png").read_bytes()


def test_the_limits_named_are_the_defaults():
    text, serve = PAGE.read_text(encoding="utf-8"), load_cfg().SERVE
    for name in ("MEGABYTES", "MEGAPIXELS", "UPLOAD_SECONDS", "QUEUE"):
        assert f"`SERVE.{name}` ({serve[name]:g})" in text
    assert f"http://{serve.HOST}:{serve.PORT}" in text


def test_every_command_of_the_page_is_of_a_known_program():
    lines = [line for _, text in blocks(PAGE) for line in text.splitlines() if line]
    assert {line.split()[0] for line in lines} == {"python", "pip", "curl", "podman"}
