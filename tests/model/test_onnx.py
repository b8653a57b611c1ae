import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from config import load_cfg
from model.card import ModelCard, encode_card
from model.onnx import OnnxNetwork, OpenVinoNetwork
from model.predictor import Predictor, load_members
from tests.networks import write_mean

CARD = ModelCard("Any", "", 2, ("a",), (0.0,) * 2, (1.0,) * 2, 4.0, threshold=0.4)


@pytest.fixture
def path(tmp_path):
    return write_mean(tmp_path / "fold0.onnx", CARD)


def patches(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_patches_of_any_size_and_count_are_predicted(path):
    network = OnnxNetwork(path)
    for shape in [(1, 2, 32, 32), (3, 2, 64, 96), (1, 2, 32, 160)]:
        found = network(patches(*shape))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, patches(*shape).mean(1, keepdims=True) / 255, atol=1e-6)


def test_members_of_onnx_files_bring_their_cards(path):
    (member,) = load_members(load_cfg(), path.parent)
    assert member.card == CARD
    found = Predictor([member], "dihedral")(patches(1, 2, 32, 64))
    np.testing.assert_allclose(found, patches(1, 2, 32, 64).mean(1, keepdims=True) / 255, atol=1e-6)


def test_scales_need_no_torch(path):
    (member,) = load_members(load_cfg(), path.parent)
    even = np.full((1, 2, 64, 96), 51, np.uint8)
    np.testing.assert_allclose(Predictor([member], "flips", [1.0, 0.8, 1.25])(even), 0.2, atol=1e-6)


def test_a_file_without_a_card_is_refused_by_name(tmp_path):
    foreign = write_mean(tmp_path / "foreign.onnx", CARD, {"made": "elsewhere"})
    with pytest.raises(ValueError, match=r"foreign\.onnx has format None"):
        OnnxNetwork(foreign)


@pytest.mark.parametrize("length", [0, 10, 100])
def test_a_truncated_file_is_refused_by_name(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"fold0\.onnx is no readable ONNX file"):
        OnnxNetwork(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.onnx is no readable ONNX file"):
        OnnxNetwork(tmp_path / "gone.onnx")


class StubModel:
    """What OpenVINO tells of a model, here of one that gives the half of its first channel."""

    def __init__(self, metadata):
        self.metadata = metadata

    def has_rt_info(self, place):
        return place[0] == "framework" and place[1] in self.metadata

    def get_rt_info(self, place):
        return SimpleNamespace(value=self.metadata[place[1]])


def stub_openvino(model):
    def compile_model(given, device, settings):
        assert (given, device) == (model, "CPU")
        return lambda feed: {"probability": (feed["image"][:, :1] / 510).astype(np.float32)}

    def read_model(path):
        if path.stem != "fold0":
            raise RuntimeError("could not\nopen")
        return model

    module = ModuleType("openvino")
    module.Core = lambda: SimpleNamespace(read_model=read_model, compile_model=compile_model)
    return module


def test_openvino_predicts_with_the_card_of_the_file(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", stub_openvino(StubModel(encode_card(CARD))))
    (member,) = load_members(load_cfg(options=["TEST.ENGINE", "openvino"]), path.parent)
    assert member.card == CARD
    np.testing.assert_allclose(member.network(patches(1, 2, 4, 4)), patches(1, 2, 4, 4)[:, :1] / 510, atol=1e-6)


def test_openvino_refuses_foreign_and_missing_files_by_name(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", stub_openvino(StubModel({})))
    with pytest.raises(ValueError, match=r"fold0\.onnx has format None"):
        OpenVinoNetwork(path)
    with pytest.raises(ValueError, match=r"gone\.onnx is no readable ONNX file: No such file"):
        OpenVinoNetwork(path.with_name("gone.onnx"))
    with pytest.raises(ValueError, match=r"bad\.onnx is no readable ONNX file: could not open"):
        OpenVinoNetwork(write_mean(path.with_name("bad.onnx"), CARD))


def test_openvino_that_is_not_installed_says_how_to_install_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ValueError, match=r"TEST\.ENGINE is 'openvino'.*requirements-openvino\.txt"):
        OpenVinoNetwork(path)
