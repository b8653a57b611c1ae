from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from model import export
from model.card import ModelCard
from model.custom_models import build_network
from model.export import CLOSE, export_onnx
from model.network_options import NetworkOptions
from model.onnx import OnnxNetwork
from model.torch_network import TorchNetwork

CARD = ModelCard("Tiny", "", 3, ("a", "\u00e4"), (0.7, 0.5, 0.6), (0.2, 0.3, 0.25), 4.0, threshold=0.4)


class Tiny(nn.Module):
    """Halves and doubles the size, and pools to cells whose sides do not divide it."""

    def __init__(self, classes=2):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.AdaptiveAvgPool2d((3, 5))
        self.last = nn.Conv2d(4, classes, 1)

    def forward(self, images):
        found = self.norm(self.first(images)).relu()
        pooled = nn.functional.interpolate(self.pool(found), found.shape[2:])
        return self.last(nn.functional.interpolate(found + pooled, scale_factor=2.0))


class Solid(nn.Module):
    """A network of three axes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, images):
        return self.first(images)


def patches(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    network = Tiny()
    network.norm.running_mean.uniform_(-1, 1)
    return network


@pytest.fixture(scope="module")
def path(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    assert export_onnx(tiny, CARD, path) < CLOSE
    return path


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 3, 64, 96), (2, 3, 224, 160)])
def test_torch_and_onnx_agree_at_every_size_and_count(tiny, path, shape):
    found = OnnxNetwork(path)(patches(*shape))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TorchNetwork(tiny, CARD)(patches(*shape)), atol=CLOSE)


def test_the_card_travels_in_the_file(path):
    assert OnnxNetwork(path).card == CARD


def test_the_file_is_complete_and_names_its_ends(path):
    model = onnx.load(path, load_external_data=False)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["probability"]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not [each for each in model.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
    assert [path.name for path in path.parent.iterdir()] == ["tiny.onnx"]


def test_equal_networks_give_equal_bytes_without_a_path_of_the_machine(tiny, path, tmp_path):
    export_onnx(tiny, CARD, tmp_path / "again.onnx")
    content = path.read_bytes()
    assert (tmp_path / "again.onnx").read_bytes() == content
    assert b".py" not in content
    assert str(path.parent).encode() not in content


def test_networks_of_three_axes_are_exported_too(tmp_path):
    card = replace(CARD, in_channels=1, mean=(0.5,), std=(0.2,), network=NetworkOptions(axes=3))
    network = Solid()
    export_onnx(network, card, tmp_path / "solid.onnx", batches=((1, 16, 24, 32), (2, 8, 16, 24)))
    shape = (1, 1, 24, 8, 16)
    np.testing.assert_allclose(
        OnnxNetwork(tmp_path / "solid.onnx")(patches(*shape)), TorchNetwork(network, card)(patches(*shape)), atol=CLOSE
    )


class Same(nn.Module):
    """Pads as TensorFlow does, by an amount that follows the size."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            Conv2dSame(3, 4, 3, 2), nn.ReLU(), Conv2dSame(4, 4, 5, 2), nn.ConvTranspose2d(4, 2, 4, 4)
        )

    def forward(self, images):
        return self.layers(images)


def test_padding_that_follows_the_size_is_exported_for_every_size(tmp_path):
    network = Same()
    assert export_onnx(network, CARD, tmp_path / "same.onnx") < CLOSE
    for shape in [(1, 3, 32, 32), (2, 3, 64, 96), (1, 3, 224, 160)]:
        found = OnnxNetwork(tmp_path / "same.onnx")(patches(*shape))
        np.testing.assert_allclose(found, TorchNetwork(network, CARD)(patches(*shape)), atol=CLOSE)


class OneSize(nn.Module):
    def forward(self, images):
        assert images.shape[-1] == 288, "only 288 columns"
        return images[:, :1]


def test_a_network_without_an_onnx_form_is_refused_by_name_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"one\.onnx: this Tiny has no ONNX form"):
        export_onnx(OneSize(), CARD, tmp_path / "one.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_from_torch_is_refused_and_leaves_no_file(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_distance", lambda *_: 0.25)
    with pytest.raises(ValueError, match=r"far\.onnx: ONNX Runtime's probabilities are up to 0\.25 from torch's"):
        export_onnx(tiny, CARD, tmp_path / "far.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["UneXt18", "Unet", "PAN", "PSPNet", "Segformer", "UPerNet"])
def test_networks_that_are_hard_to_trace_have_a_form_for_patches_of_any_size(architecture, tmp_path):
    network = build_network(architecture, "resnet18", None, 3, 2)
    assert export_onnx(network, replace(CARD, architecture=architecture), tmp_path / "a.onnx") < CLOSE
