"""Training, torch and ONNX Runtime give a network the very same input, told by its hash."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from data.cases import Case
from data.patches.dataset import PatchDataset, list_patches
from data.patches.scale import build_scale
from data.patches.statistics import PixelStatistics
from data.sources.opening import build_reader
from data.stitching.case import build_inference, predict_case
from model.card import ModelCard, build_card
from model.export import CLOSE, export_onnx
from model.onnx import INPUT, OnnxNetwork
from model.torch_network import NetworkInTraining, TorchNetwork
from tests.slides import make_cfg
from utils.diffusion import build_diffusion

SMOOTH = (5, 1 / 7, 30.0)
SHAPES = [(64, 96), (33, 40)]


class Seen(nn.Module):
    """One convolution; notes the hash of what it is given."""

    def __init__(self, channels):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(channels, 1, 3, padding=1)
        self.hashes = []

    def forward(self, images):
        if not torch.compiler.is_compiling():
            self.hashes.append(digest(images.numpy()))
        return self.first(images)


class ArraySample:
    """An array as a sample without labels."""

    name = case_id = "a"

    def __init__(self, image):
        self.image = image

    def read(self):
        return self.image, np.zeros(self.image.shape[:-1], np.uint8)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def picture(rows, columns, channels):
    """A dark ellipse in speckle."""
    chance = np.random.default_rng(0)
    inside = np.hypot(*np.meshgrid(np.linspace(-2, 2, rows), np.linspace(-2, 2, columns), indexing="ij")) < 1
    grey = np.where(inside, 60, 150)[..., None] * chance.rayleigh(0.8, (rows, columns, channels))
    return np.clip(grey, 0, 255).astype(np.uint8)


def input_of_convolution(path, patches):
    """What the first convolution of an ONNX file is given."""
    model = onnx.load(path)
    name = next(node.input[0] for node in model.graph.node if node.op_type == "Conv")
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {INPUT: patches})[0]


@pytest.mark.parametrize(("channels", "diffusion"), [(1, SMOOTH), (3, ())])
def test_training_torch_and_onnx_give_the_network_the_same_input(channels, diffusion, tmp_path):
    mean, std = (0.31, 0.449, 0.55)[:channels], (0.226, 0.19, 0.3)[:channels]
    network = Seen(channels)
    card = ModelCard("Seen", "", channels, ("a",), mean, std, 1.0, diffusion=diffusion)
    assert export_onnx(network, card, tmp_path / "seen.onnx", [(1, *SHAPES[0]), (2, *SHAPES[1])]) < CLOSE
    for image in (picture(*shape, channels) for shape in SHAPES):
        trained, _ = PatchDataset([ArraySample(image)], mean, std, 1, diffusion=diffusion)[0]
        patches = np.ascontiguousarray(np.moveaxis(image, -1, 0))[None]
        network.hashes.clear()
        found = [TorchNetwork(network, card)(patches), NetworkInTraining(network, card)(patches)]
        found.append(OnnxNetwork(tmp_path / "seen.onnx")(patches))
        wanted = digest(trained.numpy())
        assert network.hashes == [wanted, wanted]
        assert digest(input_of_convolution(tmp_path / "seen.onnx", patches)) == wanted
        assert max(np.abs(each - found[0]).max() for each in found) < CLOSE


def test_from_the_file_on_training_and_prediction_give_the_network_the_same_input(tmp_path):
    options = {"DATASETS_LAYOUT": "pairs", "DATASETS_CROP": [5, 7, 70, 110], "TILES_SIDES": [96, 96]}
    cfg = make_cfg(**options, INPUT_DIFFUSION=5, MODEL_IN_CHANNELS=1, TEST_PATCH=96)
    Image.fromarray(picture(90, 130, 3)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((90, 130), np.uint8)).save(tmp_path / "mask.png")
    case, reader, scale = Case("a", tmp_path / "a.png", tmp_path / "mask.png"), build_reader(cfg), build_scale(cfg)
    samples, _ = list_patches(case, reader, scale, 96, 0, PixelStatistics())
    card = build_card(cfg, [0.3], [0.2])
    trained, _ = PatchDataset(samples, card.mean, card.std, 1, diffusion=build_diffusion(cfg))[0]
    assert trained.shape == (1, 96, 96)
    assert len(samples) == 1
    network = Seen(1)
    predict_case(case, reader, build_inference(cfg, scale), TorchNetwork(network, card), tmp_path / "a.zarr")
    assert card.diffusion == (5, 1 / 7, 30.0)
    assert network.hashes == [digest(trained.numpy())]
