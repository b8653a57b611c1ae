"""Classes that exclude each other: a softmax with the background, as one log-odds a class."""

from typing import Any

import torch
from torch import Tensor, nn


def exclusive(logits: Tensor) -> Tensor:
    """Log-odds of each class (N, K, *) whose sigmoid is its softmax among the K classes and a background of logit 0.

    z_k = l_k - log(1 + sum of exp(l_j) over the other classes j), from p / (1 - p); for one class z is l itself.
    """
    every = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)
    others = [torch.cat([every[:, :k], every[:, k + 1 :]], 1).logsumexp(1) for k in range(1, every.shape[1])]
    return logits - torch.stack(others, 1)


def make_exclusive(network: nn.Module) -> nn.Module:
    """The same network, now giving log-odds of classes that exclude each other."""
    # a hook, not a wrapper: parameters keep the names of weight files, and layers theirs for heads in training
    network.register_forward_hook(_after)
    return network


def _after(_: nn.Module, __: Any, logits: Tensor) -> Tensor:
    return exclusive(logits)
