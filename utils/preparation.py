"""What a network sees of raw pixels: the one definition, for training and for every way of prediction."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from utils.diffusion import Diffusion


class Preparation(nn.Module):
    """Raw pixels (N, C, *) of 0 to 255, uint8 or float32, as a network's input of the same shape, float32.

    They are diffused if `diffusion` (steps, step, kappa) is given, then divided by 255 and normalised by the mean and
    standard deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], diffusion: Sequence[float] = ()):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.diffusion = Diffusion(int(diffusion[0]), *diffusion[1:]) if diffusion else None

    def forward(self, pixels: Tensor) -> Tensor:
        """The network's input."""
        per_channel = (1, -1, *(1,) * (pixels.ndim - 2))
        images = pixels.float()
        if self.diffusion:
            images = self.diffusion(images)
        return (images / 255 - self.mean.reshape(per_channel)) / self.std.reshape(per_channel)
