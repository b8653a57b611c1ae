"""Convolutions that pad as TensorFlow does (encoders `tf_...`), for export.

How much they pad follows from the size of what they see, which no exporter can carry through fifty layers. A network
only ever sees sides that are multiples of its whole stride; then every such layer sees multiples of its own stride, and
its padding is the same whatever the size.
"""

import copy

from torch import nn


def with_fixed_padding(network: nn.Module) -> nn.Module:
    """A copy of a network in which such convolutions pad by a fixed amount; itself if it has none."""
    from timm.layers import Conv2dSame

    if not any(isinstance(module, Conv2dSame) for module in network.modules()):
        return network
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Conv2dSame):
                setattr(parent, name, _fixed(child))
    return network


def _fixed(layer: nn.Conv2d) -> nn.Module:
    """The layer for sides that are multiples of its stride: of the total (kernel - 1) dilation + 1 - stride, the first
    half before and the rest behind.
    """
    total = [
        max((kernel - 1) * dilation + 1 - stride, 0)
        for kernel, dilation, stride in zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
    ]
    (top, left), (bottom, right) = [n // 2 for n in total], [n - n // 2 for n in total]
    plain = nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, 0, layer.dilation, layer.groups
    )
    plain.weight, plain.bias = layer.weight, layer.bias
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain)
