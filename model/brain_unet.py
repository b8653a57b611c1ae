"""The U-Net of brain MRI slices by Buda, Saha and Mazurowski (2019), under the names of its published weights."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

FEATURES = 32  # of the first level; each level below has twice as many
LEVELS = (1, 2, 3, 4)


class BrainUnet(nn.Module):
    """Maps (N, in_channels, H, W), H and W multiples of 16, to logits (N, classes, H, W)."""

    def __init__(self, in_channels: int, classes: int, features: int = FEATURES):
        super().__init__()
        widths = [features * 2 ** (level - 1) for level in LEVELS]
        for level, (before, width) in enumerate(zip([in_channels, *widths], widths, strict=False), start=1):
            self.add_module(f"encoder{level}", block(before, width, f"enc{level}"))
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = block(widths[-1], 2 * widths[-1], "bottleneck")
        for level, width in zip(LEVELS, widths, strict=True):
            self.add_module(f"upconv{level}", nn.ConvTranspose2d(2 * width, width, 2, stride=2))
            self.add_module(f"decoder{level}", block(2 * width, width, f"dec{level}"))
        self.conv = nn.Conv2d(features, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits; down through the encoders, and up again beside what each of them found."""
        found: list[Tensor] = []
        values = images
        for level in LEVELS:
            found.append(self.get_submodule(f"encoder{level}")(values))
            values = self.pool(found[-1])
        values = self.bottleneck(values)
        for level in reversed(LEVELS):
            values = self.get_submodule(f"upconv{level}")(values)
            values = self.get_submodule(f"decoder{level}")(torch.cat((values, found[level - 1]), 1))
        return self.conv(values)


def block(before: int, width: int, name: str) -> nn.Sequential:
    """Two 3 x 3 convolutions without bias, each with batch norm and relu, named as in the published weights."""
    parts: list[tuple[str, nn.Module]] = []
    for number, channels in ((1, before), (2, width)):
        parts += [
            (f"{name}conv{number}", nn.Conv2d(channels, width, 3, padding=1, bias=False)),
            (f"{name}norm{number}", nn.BatchNorm2d(width)),
            (f"{name}relu{number}", nn.ReLU(inplace=True)),
        ]
    return nn.Sequential(OrderedDict(parts))
