"""The network of a weights file for the programs that prediction is compared with; it needs none of ours."""

import json
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn


class ProbabilityNetwork(nn.Module):
    """The smp network of a weights file: images (N, 3, H, W) of 0 to 255 -> probabilities (N, K, H, W) float32."""

    def __init__(self, weights: Path):
        super().__init__()
        with safe_open(weights, "pt") as file:
            card = json.loads(file.metadata()["card"])
        classes = len(card["classes"])
        self.network = smp.create_model(card["architecture"], card["encoder_name"], None, card["in_channels"], classes)
        self.network.load_state_dict(load_file(weights))
        self.register_buffer("mean", torch.tensor(card["mean"])[:, None, None])
        self.register_buffer("std", torch.tensor(card["std"])[:, None, None])
        self.eval().to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of raw patches."""
        normal = (images.float() / 255 - self.mean) / self.std
        return self.network(normal.contiguous(memory_format=torch.channels_last)).sigmoid()
