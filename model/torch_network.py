"""A torch network as a function of raw patches, on the CPU or a GPU, in the precision that is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from model.card import ModelCard
from utils.preparation import Preparation
from utils.seed import chance_as_before
from utils.threads import core_count, networks_at_once

NEED_A_GPU = ("fp16", "compile")
PRECISIONS = {"torch": torch.float32, "bf16": torch.bfloat16}  # by TEST.ENGINE; others: half on a GPU


@dataclass(frozen=True)
class TorchEngine:
    """Where and how torch computes."""

    device: str = "cpu"
    precision: torch.dtype = torch.float32
    compiled: bool = False


def choose_engine(name: str) -> TorchEngine:
    """The engine of TEST.ENGINE on this machine; raises ValueError where it needs a GPU and there is none."""
    gpu = torch.cuda.is_available()
    if name in NEED_A_GPU and not gpu:
        raise ValueError(f"TEST.ENGINE is {name!r}, but torch finds no GPU here; choose 'auto', 'torch' or 'onnx'")
    precision = PRECISIONS.get(name, torch.float16 if gpu else torch.float32)
    return TorchEngine("cuda" if gpu else "cpu", precision, compiled=name == "compile")


class ProbabilityModule(nn.Module):
    """A network with the preparation of its card before it and the one sigmoid after it.

    (N, C, *) uint8, or float32 of the same scale -> (N, K, *) float32 in [0, 1]: the one place where a torch logit
    becomes a probability.
    """

    def __init__(self, network: nn.Module, card: ModelCard):
        super().__init__()
        self.network = network
        self.prepare = Preparation(card.mean, card.std, card.diffusion)

    def forward(self, patches: Tensor) -> Tensor:
        """Probabilities of raw patches."""
        return self.network(self.prepare(patches)).float().sigmoid()


class TorchNetwork:
    """A network that gives logits, as a function (N, C, *) uint8 -> (N, K, *) float32 in [0, 1]."""

    def __init__(self, network: nn.Module, card: ModelCard, engine: TorchEngine | None = None):
        self.engine = engine or TorchEngine()
        self.at_once = networks_at_once() if self.engine.device == "cpu" and not self.engine.compiled else 1
        self.threads = torch.get_num_threads()  # of the process, which those that compute side by side cannot ask for
        module = ProbabilityModule(network, card).eval().to(self.engine.device)
        module = convert_conv2d_weight_memory_format(module, torch.channels_last)
        self.module = torch.compile(module, dynamic=True) if self.engine.compiled else module

    @torch.inference_mode()
    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        torch.set_num_threads(min(core_count() // self.at_once, self.threads))
        try:
            return self._forward(patches)
        finally:
            torch.set_num_threads(self.threads)  # training in the same process keeps its own number

    def _forward(self, patches: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(patches).to(self.engine.device)  # as bytes: a quarter of the way
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        half = self.engine.precision != torch.float32
        with torch.autocast(self.engine.device, self.engine.precision if half else None, enabled=half):
            return self.module(images).cpu().numpy()


class NetworkInTraining:
    """A network in the middle of its training, as a function (N, C, *) uint8 -> (N, K, *) float32 in [0, 1].

    Training goes on as if nothing had been asked: modes, statistics and random states stay as they were.
    """

    def __init__(self, network: nn.Module, card: ModelCard):
        self.network = network
        self.card = card

    @torch.no_grad()  # not inference_mode: what a network keeps for later must be of use in training
    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        device = next(self.network.parameters()).device
        with chance_as_before(), _evaluating(self.network):
            module = ProbabilityModule(self.network, self.card).to(device)
            return module(torch.tensor(patches, device=device)).cpu().numpy()


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Have all modules evaluate, then give each its mode back: some may evaluate in training too."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
