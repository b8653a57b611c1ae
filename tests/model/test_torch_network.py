from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from model.card import ModelCard
from model.custom_models import build_network
from model.torch_network import NetworkInTraining, TorchEngine, TorchNetwork, choose_engine

CARD = ModelCard("Unet", "resnet18", 3, ("a",), (0.0,) * 3, (1.0,) * 3, 4.0)


class FirstChannel(nn.Module):
    """Gives its first input channel, times a factor, as logit."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images):
        return images[:, :1] * self.factor


def patches(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 3, 4, 6, 8)])
def test_the_sigmoid_is_applied_exactly_once(shape):
    found = TorchNetwork(FirstChannel(3.0), CARD)(patches(*shape))
    assert found.shape == (shape[0], 1, *shape[2:])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sigmoid(3.0 * patches(*shape)[:, :1] / 255), atol=1e-6)


def test_patches_are_normalised_with_the_card():
    card = replace(CARD, mean=(0.5, 0.1, 0.1), std=(0.25, 1.0, 1.0))
    found = TorchNetwork(FirstChannel(), card)(patches(1, 3, 8, 8))
    np.testing.assert_allclose(found, sigmoid((patches(1, 3, 8, 8)[:, :1] / 255 - 0.5) / 0.25), atol=1e-6)


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return build_network("Unet", "resnet18", None, 3, 1)


def test_a_batch_of_many_gives_what_batches_of_one_give(unet):
    network = TorchNetwork(unet, CARD)
    ones = np.concatenate([network(patches(5, 3, 32, 32)[place : place + 1]) for place in range(5)])
    np.testing.assert_allclose(network(patches(5, 3, 32, 32)), ones, atol=1e-5)


def test_predicting_twice_gives_the_same_and_changes_no_weight(unet):
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    network = TorchNetwork(unet.train(), CARD)
    np.testing.assert_array_equal(network(patches(1, 3, 32, 32)), network(patches(1, 3, 32, 32)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())


def test_bfloat16_is_near_float32_and_yet_another(unet):
    exact = TorchNetwork(unet, CARD)(patches(1, 3, 64, 64))
    rough = TorchNetwork(unet, CARD, TorchEngine(precision=torch.bfloat16))(patches(1, 3, 64, 64))
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05


def test_a_compiled_engine_compiles_the_network(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: compiled.append(module) or module)
    TorchNetwork(FirstChannel(), CARD)
    assert compiled == []
    TorchNetwork(FirstChannel(), CARD, TorchEngine(compiled=True))(patches(1, 3, 8, 8))
    assert len(compiled) == 1


CPU = {
    "auto": TorchEngine("cpu", torch.float32),
    "torch": TorchEngine("cpu", torch.float32),
    "bf16": TorchEngine("cpu", torch.bfloat16),
}
GPU = {
    "auto": TorchEngine("cuda", torch.float16),
    "torch": TorchEngine("cuda", torch.float32),
    "bf16": TorchEngine("cuda", torch.bfloat16),
    "fp16": TorchEngine("cuda", torch.float16),
    "compile": TorchEngine("cuda", torch.float16, compiled=True),
}


@pytest.mark.parametrize("gpu", [False, True])
def test_every_name_stands_for_one_engine_of_the_machine(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    for name, wanted in (GPU if gpu else CPU).items():
        assert choose_engine(name) == wanted, name


@pytest.mark.parametrize("name", ["fp16", "compile"])
def test_an_engine_that_needs_a_gpu_says_so_where_there_is_none(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=rf"TEST\.ENGINE is '{name}', but torch finds no GPU"):
        choose_engine(name)


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_torch_weights_under_an_engine_for_onnx_are_predicted_as_by_auto(name):
    assert choose_engine(name) == choose_engine("auto")  # so does training, whatever its test will run on


def test_the_threads_of_the_process_stay_as_they_were():
    before = torch.get_num_threads()
    network = TorchNetwork(nn.Conv2d(3, 1, 1), CARD)
    network(np.zeros((1, 3, 8, 8), np.uint8))
    assert torch.get_num_threads() == before
    assert network.at_once in (1, 2)


class Restless(nn.Module):
    """Batch norm, dropout, a part that never trains, and a draw of chance even when it evaluates."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.frozen = nn.BatchNorm2d(3).eval()
        self.drop = nn.Dropout2d(0.5)

    def forward(self, images):
        return self.drop(self.frozen(self.norm(images)))[:, :1] + 0 * torch.rand(()) * np.random.rand()


def test_looking_at_a_network_in_training_gives_what_it_would_predict_and_changes_nothing():
    network = Restless()
    network.norm(torch.rand(4, 3, 8, 8))
    network.train()
    network.frozen.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    chance = torch.get_rng_state(), np.random.get_state()[1].tolist()
    image = patches(2, 3, 8, 8)
    image.flags.writeable = False  # as images are that were read from a file
    found = NetworkInTraining(network, CARD)(image)
    assert [module.training for module in network.modules()] == [True, True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(chance[0], torch.get_rng_state())
    assert chance[1] == np.random.get_state()[1].tolist()
    np.testing.assert_array_equal(found, TorchNetwork(network, CARD)(patches(2, 3, 8, 8)))
