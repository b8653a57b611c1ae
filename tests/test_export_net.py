"""The comparison of an exported network with torch on pictures; the export itself is in test_scripts.py."""

from types import SimpleNamespace

import numpy as np
import pytest

import export_net
from config import load_cfg
from tests.pictures import CARD, save_disc


def mean(patches):
    return patches.mean(1, keepdims=True, dtype=np.float32) / 255


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / "in").mkdir()
    for number, shape in enumerate([(90, 130), (200, 310), (64, 64)]):
        save_disc(tmp_path / "in" / f"{number}.png", shape)
    return load_cfg(options=["TEST.EXPORT_FOLDER", str(tmp_path / "in")])


def with_networks(monkeypatch, distance):
    """Stand-ins for torch and ONNX whose probabilities differ by `distance` on one pixel; the sizes they have seen."""
    seen = set()

    def other(patches):
        seen.add(patches.shape[2:])
        found = mean(patches)
        found[-1, 0, -1, -1] += distance
        return found

    networks = {".safetensors": mean, ".onnx": other}
    load = lambda cfg, path: SimpleNamespace(network=networks[path.suffix], card=CARD)  # noqa: E731
    monkeypatch.setattr("model.predictor.load_member", load)
    return seen


def test_networks_are_compared_on_the_patches_of_every_picture(cfg, tmp_path, monkeypatch, capsys):
    seen = with_networks(monkeypatch, 5e-5)
    export_net.compare_on_pictures(cfg, tmp_path / "a.safetensors", tmp_path / "a.onnx")
    assert "within 5.0e-05 on 3 pictures" in capsys.readouterr().out
    assert len(seen) > 1


def test_a_file_that_differs_on_pictures_is_removed(cfg, tmp_path, monkeypatch):
    with_networks(monkeypatch, 2e-4)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.onnx: probabilities of 3 pictures are 0\.0002 from torch's"):
        export_net.compare_on_pictures(cfg, tmp_path / "a.safetensors", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_folder_without_pictures_is_no_comparison(tmp_path, monkeypatch):
    with_networks(monkeypatch, 0.0)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="of 0 pictures are nan"):
        export_net.compare_on_pictures(
            load_cfg(options=["TEST.EXPORT_FOLDER", str(tmp_path)]), tmp_path / "a.safetensors", tmp_path / "a.onnx"
        )
