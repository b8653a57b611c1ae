"""Every way of prediction, and training, shows a network the same pixels: compared by hash of what it is given."""

import hashlib
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image

import test_net
from apps.segment import main as segment
from apps.segmenter import load_app_cfg
from config import load_cfg
from data.cases import Case
from data.patches.scale import Scale
from data.sources.opening import build_reader
from model.card import ModelCard
from model.onnx import OnnxNetwork
from tests.pictures import draw_disc, save_weights
from tests.server import running

CONFIG = "DATASETS: {LAYOUT: pairs, CROP: [5, 7, 200, 300]}\nTEST: {PATCH: 96, OVERLAP: 32}\n"
CARD = ModelCard("Unet", "resnet18", 3, ("disc",), (0.3,) * 3, (0.2,) * 3, 1.7, threshold=0.5, config=CONFIG)


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(draw_disc((233, 321))).save(tmp_path / "in" / "a.png")
    return tmp_path / "in" / "a.png"


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("onnx"), CARD)


@pytest.fixture(scope="module")
def torch_file(tmp_path_factory):
    from model.checkpoints import save_checkpoint
    from model.custom_models import build_network

    path = tmp_path_factory.mktemp("torch") / "fold0.safetensors"
    save_checkpoint(path, build_network("Unet", "resnet18", None, 3, 1).state_dict(), CARD)
    return path


@pytest.fixture
def seen(monkeypatch):
    """Hashes of all batches that networks were given since it was cleared, in any order."""
    from model.torch_network import TorchNetwork

    hashes = []

    def watched(call):
        def hashing(self, patches):
            hashes.append(digest(patches))
            return call(self, patches)

        return hashing

    for network in (OnnxNetwork, TorchNetwork):
        monkeypatch.setattr(network, "__call__", watched(network.__call__))
    return hashes


def digest(patches):
    return hashlib.sha256(repr(patches.shape).encode() + patches.tobytes()).hexdigest()


def taken(seen):
    found = sorted(seen)
    seen.clear()
    return found


def by_test_net(folder, weights, out):
    words = ["DATASETS.LAYOUT", "pairs", "DATASETS.IMAGES", "{name}.*", "DATASETS.MASKS", "", "TEST.OUTPUT_DIR", out,
             "DATASETS.CROP", "[5, 7, 200, 300]", "TEST.PATCH", "96", "TEST.OVERLAP", "32",
             "TEST.WSI_FOLDER", folder, "TEST.MODEL_WEIGHTS_FOLDER", weights.parent]  # fmt: skip
    assert test_net.main([str(word) for word in words]) == 0


def by_command_line(picture, weights, out):
    assert segment(["-m", str(weights), "-ii", str(picture), "-oi", str(out)]) == 0


def by_api(picture, weights):
    with running(weights) as address:
        answer = httpx.post(f"{address}/api/process_image", files={"image": picture.read_bytes()}, timeout=60)
    assert answer.status_code == 200


def by_window(picture, weights, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtWidgets import QApplication

    from apps.window import Window

    app = QApplication.instance() or QApplication([])
    window = Window(lambda model: load_app_cfg(model, 0.0))

    def wait():
        while window.work is not None:
            app.processEvents()
            time.sleep(0.005)

    window.load(weights)
    wait()
    window.add_pictures([picture])
    window.process()
    wait()
    window.close()


def test_the_network_sees_the_same_pixels_whichever_way_it_is_asked(
    onnx, torch_file, picture, seen, tmp_path, monkeypatch
):
    by_test_net(picture.parent, onnx, tmp_path / "out")
    expected = taken(seen)
    assert len(set(expected)) > 2
    by_test_net(picture.parent, torch_file, tmp_path / "out_torch")
    assert taken(seen) == expected
    for number, weights in enumerate((onnx, torch_file)):
        by_command_line(picture, weights, tmp_path / f"{number}.png")
        assert taken(seen) == expected
    by_api(picture, onnx)
    assert taken(seen) == expected
    by_window(picture, onnx, monkeypatch)
    assert taken(seen) == expected


def test_a_hash_tells_another_scale_and_another_crop(onnx, picture, seen, tmp_path):
    by_command_line(picture, onnx, tmp_path / "a.png")
    expected = taken(seen)
    for change in ({"reduction": 1.8}, {"config": CONFIG.replace("[5, 7", "[5, 8")}):
        by_command_line(picture, save_weights(tmp_path / "other", replace(CARD, **change)), tmp_path / "b.png")
        assert taken(seen) != expected


def test_training_learns_from_the_pixels_that_prediction_sees(seen, tmp_path):
    from data.patches.dataset import list_patches
    from data.patches.statistics import PixelStatistics

    path, labels = tmp_path / "a.png", tmp_path / "labels.png"
    Image.fromarray(draw_disc((192, 192))).save(path)
    Image.fromarray(np.zeros((192, 192), np.uint8)).save(labels)
    by_command_line(
        path,
        save_weights(tmp_path / "weights", replace(CARD, reduction=1.5, config="DATASETS: {LAYOUT: pairs}")),
        tmp_path / "b.png",
    )
    reader = build_reader(load_cfg())
    (sample,), _ = list_patches(Case("a", path, labels), reader, Scale(1.5), 128, 0, PixelStatistics())
    assert [digest(np.moveaxis(sample.read()[0], -1, 0)[None])] == taken(seen)
