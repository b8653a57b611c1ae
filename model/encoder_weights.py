"""Fitting the tensors of a weight file to an encoder: other input channels, other tokens, another variant."""

import math
from collections.abc import Mapping

import torch
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from torch import Tensor

ATTENTION = "blocks_0_attn_"  # what the names of a vision transformer's first block begin with
SCALED = {"ls1_gamma": ("attn_proj",), "ls2_gamma": ("mlp_fc2", "mlp_w3")}  # layer scale, and what it may scale


def fit_tensor(key: str, value: Tensor | None, own: Tensor, in_channels: int) -> Tensor | None:
    """`value` in the shape of `own`, or None where there is no sound way.

    A first convolution takes other input channels, the patches and positions of a vision transformer other sizes.
    """
    if value is None or value.shape == own.shape:
        return value
    if key.endswith("patch_embed_proj_weight") and value.shape[:2] == own.shape[:2]:
        return resample_patch_embed(value.float(), list(own.shape[2:]))
    if key.endswith("pos_embed") and value.ndim == own.ndim == 3:
        return _resample_positions(value, own)
    same_but_inputs = own.ndim >= 4 and value.shape[:1] + value.shape[2:] == own.shape[:1] + own.shape[2:]
    return _other_inputs(value, in_channels) if same_but_inputs and own.shape[1] == in_channels else None


def fold_layer_scale(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by name in which the layer scales that the encoder lacks are multiplied into the layers before them."""
    tensors = dict(found)
    for key, gamma in found.items():
        block, layers = key[: -len("ls1_gamma")], SCALED.get(key[-len("ls1_gamma") :], ())
        if key in own or not any(f"{block}{layer}_weight" in found for layer in layers):
            continue
        del tensors[key]
        for name in (f"{block}{layer}_{part}" for layer in layers for part in ("weight", "bias")):
            if name in found:
                value = found[name].float()
                tensors[name] = value * gamma.float().reshape(-1, *(1,) * (value.ndim - 1))
    return tensors


def left_over(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors without which a vision transformer is another one than the file's; empty for other encoders."""
    if not any(name.startswith(ATTENTION) for name in own):
        return []
    return [name for name in found if name not in own and (name.startswith("blocks_") or name.endswith("_token"))]


def is_dispensable(key: str) -> bool:
    """Whether an encoder does without the tensor: a count of batches, or the classifier that comes with DPT's."""
    return key.endswith("num_batches_tracked") or key.startswith(("head_", "fc_norm_"))


def _other_inputs(value: Tensor, in_channels: int) -> Tensor:
    if in_channels == 1:
        return value.float().sum(1, keepdim=True)
    given = value.shape[1]
    return value.float()[:, torch.arange(in_channels) % given] * (given / in_channels)


def _resample_positions(value: Tensor, own: Tensor) -> Tensor | None:
    """Positions (1, tokens, channels) of a square grid after some tokens without a place, as many in both."""
    sides = [math.isqrt(each.shape[1]) for each in (value, own)]
    placeless = [each.shape[1] - side**2 for each, side in zip((value, own), sides, strict=True)]
    if value.shape[2] != own.shape[2] or placeless[0] != placeless[1]:
        return None
    return resample_abs_pos_embed(value.float(), [sides[1]] * 2, num_prefix_tokens=placeless[0])
