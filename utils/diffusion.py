"""Anisotropic diffusion: speckle is smoothed, edges are kept."""

import itertools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from yacs.config import CfgNode

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Diffusion:
    """Perona and Malik's diffusion over all neighbours of a pixel, those across a corner too.

    `steps` of the size `step`; a difference of grey values of `kappa` is smoothed half as much as a slight one.
    """

    steps: int
    step: float
    kappa: float

    def __call__(self, images: "Tensor") -> "Tensor":
        """Images (N, C, *) of any float dtype, diffused; a constant one stays as it is.

        A neighbour at the distance r counts 1 / r^2; nothing flows across the border. The conductance is the second
        of Perona and Malik (1990), 1 / (1 + (difference / kappa)^2), of the difference as it is, at any distance.
        """
        for _ in range(self.steps):
            images = images + self.step * self._inflow(images)
        return images

    def _inflow(self, images: "Tensor") -> "Tensor":
        padded = _with_border(images)
        offsets = [each for each in itertools.product((-1, 0, 1), repeat=images.ndim - 2) if any(each)]
        return reduce(operator.add, (self._flow(padded[_shifted(each)] - images, each) for each in offsets))

    def _flow(self, difference: "Tensor", offsets: tuple[int, ...]) -> "Tensor":
        share, squared_distance = difference / self.kappa, sum(map(abs, offsets))
        return difference / (squared_distance * (1 + share * share))


def build_diffusion(cfg: CfgNode) -> tuple[float, ...]:
    """Steps, size of a step and kappa of the diffusion that INPUT asks for, or nothing."""
    options = cfg.INPUT
    return (options.DIFFUSION, options.DIFFUSION_STEP, options.DIFFUSION_KAPPA) if options.DIFFUSION else ()


def _with_border(images: "Tensor") -> "Tensor":
    """Images (N, C, *) with their outermost pixels once more on every side."""
    import torch  # here, since a card is read without it

    for axis in range(2, images.ndim):
        first, last = (tuple(_along(axis, images.ndim, side)) for side in (slice(0, 1), slice(-1, None)))
        images = torch.cat([images[first], images, images[last]], axis)
    return images


def _along(axis: int, axes: int, part: slice) -> Iterator[slice]:
    return (part if each == axis else slice(None) for each in range(axes))


def _shifted(offsets: tuple[int, ...]) -> tuple[slice, ...]:
    """The neighbours at some offsets in images with a border, as a part of the shape without it."""
    return (slice(None), slice(None), *(slice(1 + each, each - 1 or None) for each in offsets))
