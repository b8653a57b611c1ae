"""Losses by name for masks of any number of classes and axes: logits in, targets of 0 and 1, one ignore value.

Every loss is a function of logits (N, K, *) and targets (N, K, *), 0 or 1 in any dtype and 255 where a pixel counts for
nothing, and gives the mean over the K channels as a float32 scalar. Those in SOFT_LOSSES of config/check.py take
floating targets between 0 and 1 as well: probabilities. Lists of pixels below are (N, K, P).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

Loss = Callable[[Tensor, Tensor], Tensor]

IGNORE = 255
TINY = 1e-37  # about the smallest normal float32
ROUNDING = 1e-6  # shares below it are what rounding leaves
POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}  # by spatial axes


class Pixels(NamedTuple):
    """Pixels as lists (N, K, P): logits (0 where ignored), truth as 0 to 1 (0 where ignored), and which count.

    `may_be_soft` says whether a truth can lie between 0 and 1.
    """

    logits: Tensor
    truth: Tensor
    valid: Tensor
    may_be_soft: bool = False


def build_loss(cfg: CfgNode) -> Loss:
    """Loss that SOLVER.LOSS_FUNCTION_NAME names, or the weighted sum that SOLVER.LOSS_PARTS lists."""
    name, parts, pos_weight = cfg.SOLVER.LOSS_FUNCTION_NAME, cfg.SOLVER.LOSS_PARTS, cfg.SOLVER.POS_WEIGHT
    if parts:
        return weighted_sum([(_named(part, "SOLVER.LOSS_PARTS", pos_weight), weight) for part, weight in parts])
    return _named(name, "SOLVER.LOSS_FUNCTION_NAME", pos_weight)


def _named(name: str, key: str, pos_weight: float) -> Loss:
    if name not in LOSSES:
        raise ValueError(f"{key} is {name!r}; choose one of {list(LOSSES)}")
    weighted = WITH_POS_WEIGHT.get(name)
    return partial(weighted, pos_weight=pos_weight) if weighted and pos_weight != 1 else LOSSES[name]


def weighted_sum(parts: Sequence[tuple[Loss, float]]) -> Loss:
    """A loss that is the sum of others, each times its weight."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([weight * part(logits, targets) for part, weight in parts]).sum()

    return loss


def bce(logits: Tensor, targets: Tensor, pos_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy, that of true pixels times `pos_weight`, the mean over pixels."""
    pixels = _pixels(logits, targets)

    def cost(wrongness: Tensor, truth: Tensor) -> Tensor:
        return (1 + (pos_weight - 1) * truth) * F.softplus(wrongness)

    return _pixel_mean(_expected(pixels, cost), pixels.valid)


def boundary_bce(logits: Tensor, targets: Tensor, reach_px: int = 2, edge_weight: float = 5.0) -> Tensor:
    """Binary cross-entropy in which a pixel near a boundary weighs more; the weighted mean over pixels.

    Near is a pixel from which one of the other truth is at most `reach_px` away along every axis; it weighs
    `edge_weight`, all others 1. Ignored pixels have no truth. After the weight map of U-Net (Ronneberger et al., 2015).
    """
    pixels = _pixels(logits, targets)
    weights = torch.where(_near_boundary(targets.as_subclass(Tensor), reach_px).flatten(2), edge_weight, 1.0)
    counts = (weights * pixels.valid).sum((0, 2))
    losses = (weights * F.softplus(_wrongness(pixels)) * pixels.valid).sum((0, 2))
    return _mean_of(losses / counts.clamp(min=1), counts > 0)


def loss_focal_corrected(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each pixel, then the mean over pixels (Lin et al., 2017, equation 5).

    `alpha` weighs foreground, 1 - `alpha` background; `gamma` plays down pixels that are right already.
    """
    pixels = _pixels(logits, targets)

    def cost(wrongness: Tensor, truth: Tensor) -> Tensor:
        weights = alpha * truth + (1 - alpha) * (1 - truth)
        return weights * torch.sigmoid(wrongness) ** gamma * F.softplus(wrongness)

    return _pixel_mean(_expected(pixels, cost), pixels.valid)


def dice_coef_loss(logits: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - (2 |P T| + smooth) / (|P| + |T| + smooth), P the sigmoid of the logits, summed over the whole batch.

    What P and T share of a pixel is the lesser of both: p * t where t is 0 or 1, and best at p = t elsewhere, where the
    product is best at p = 1 (Wang et al., 2023, Dice semimetric losses).
    """
    pixels = _pixels(logits, targets)
    probabilities = torch.sigmoid(pixels.logits) * pixels.valid
    both = torch.minimum(probabilities, pixels.truth).sum((0, 2))
    dice = (2 * both + smooth) / (probabilities.sum((0, 2)) + pixels.truth.sum((0, 2)) + smooth)
    return _mean_of(1 - dice, pixels.valid.any(2).any(0))


def tversky(logits: Tensor, targets: Tensor, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0) -> Tensor:
    """1 - (TP + smooth) / (TP + alpha FP + beta FN + smooth), summed over the whole batch (Salehi et al., 2017).

    With the default a missed pixel costs more than a false one; alpha = beta = 1/2 is Dice but for the smoothing.
    """
    pixels = _pixels(logits, targets)
    probabilities = torch.sigmoid(pixels.logits) * pixels.valid
    both = torch.minimum(probabilities, pixels.truth).sum((0, 2))
    false, missed = probabilities.sum((0, 2)) - both, pixels.truth.sum((0, 2)) - both
    index = (both + smooth) / (both + alpha * false + beta * missed + smooth)
    return _mean_of(1 - index, pixels.valid.any(2).any(0))


def lovasz_hinge(logits: Tensor, targets: Tensor, per_image: bool = True) -> Tensor:
    """Convex surrogate of 1 - IoU of the foreground (Berman et al., 2018), of each image or of the whole batch."""
    errors, truth, valid = _sorted_errors(_pixels(logits, targets), per_image)
    return _mean_of((errors * _jaccard_steps(truth, valid)).sum(-1), valid.any(-1))


def symmetric_lovasz(logits: Tensor, targets: Tensor, per_image: bool = True) -> Tensor:
    """Mean of the Lovász hinge of the foreground and that of the background: of (logits, t) and (-logits, 1 - t).

    The hinge is relu, as published; some pipelines put elu + 1 in its place.
    """
    errors, truth, valid = _sorted_errors(_pixels(logits, targets), per_image)
    # both have the same errors in the same order; only what counts as foreground differs
    steps = (_jaccard_steps(truth, valid) + _jaccard_steps(~truth, valid)) / 2
    return _mean_of((errors * steps).sum(-1), valid.any(-1))


def dice_ce(logits: Tensor, targets: Tensor, smooth: float = 1e-5) -> Tensor:
    """Dice loss plus cross-entropy over classes that exclude each other, and their background.

    Logits are log-odds of probabilities whose sum over the classes is below 1, as `model.exclusive` gives them; for one
    class any logits are. Dice is of each image and class, background included: 1 - (2 |P T| + s) / (|P| + |T| + s);
    both are what MONAI's DiceCELoss makes of a softmax. A pixel that any class ignores counts for nothing.
    """
    pixels = _pixels(logits, targets)
    valid = pixels.valid.all(1, keepdim=True)
    truth = torch.cat([(1 - pixels.truth.sum(1, keepdim=True)).clamp(min=0), pixels.truth], 1) * valid
    logs = torch.cat([_log_background(pixels.logits), F.logsigmoid(pixels.logits)], 1) * valid
    probabilities = logs.exp() * valid
    both, sizes = (probabilities * truth).sum(2), probabilities.sum(2) + truth.sum(2)
    dice = 1 - (2 * both + smooth) / (sizes + smooth)
    cross_entropy = -(logs * truth).sum() / valid.sum().clamp(min=1)
    return _mean_of(dice, valid.any(2).expand_as(dice)) + cross_entropy


def _log_background(logits: Tensor) -> Tensor:
    """Logarithm of 1 minus all probabilities, (N, K, P) to (N, 1, P).

    It is counted from the rest that the most probable class leaves, which stays precise where that is sure.
    """
    surest, place = logits.max(1, keepdim=True)
    others = torch.sigmoid(logits).scatter(1, place, 0.0).sum(1, keepdim=True)
    rest = F.logsigmoid(-surest)
    share = 1 - others / rest.exp().clamp(min=TINY)
    # where others leave nothing that float32 can tell, the surest class alone gives value and gradient
    return rest + torch.where(share > ROUNDING, share.clamp(min=ROUNDING).log(), math.log(ROUNDING))


def bce_dice(logits: Tensor, targets: Tensor, pos_weight: float = 1.0) -> Tensor:
    """Mean of binary cross-entropy and Dice loss."""
    return (bce(logits, targets, pos_weight) + dice_coef_loss(logits, targets)) / 2


def bce_lovasz(logits: Tensor, targets: Tensor, pos_weight: float = 1.0) -> Tensor:
    """Mean of binary cross-entropy and symmetric Lovász."""
    return (bce(logits, targets, pos_weight) + symmetric_lovasz(logits, targets)) / 2


def sym_lovasz_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of symmetric Lovász and Dice loss."""
    return (symmetric_lovasz(logits, targets) + dice_coef_loss(logits, targets)) / 2


def loss_sym_lovasz_focal_corrected(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of symmetric Lovász and focal loss."""
    return (symmetric_lovasz(logits, targets) + loss_focal_corrected(logits, targets)) / 2


def sym_lovasz_focal_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of symmetric Lovász, focal and Dice loss."""
    parts = (symmetric_lovasz, loss_focal_corrected, dice_coef_loss)
    return torch.stack([part(logits, targets) for part in parts]).mean()


def _pixels(logits: Tensor, targets: Tensor) -> Pixels:
    if logits.shape != targets.shape or logits.ndim < 3:
        raise ValueError(
            f"logits are {tuple(logits.shape)} and targets {tuple(targets.shape)}; both must be (N, K, *): "
            "one channel a class"
        )
    # a plain tensor: fastai's subclasses refuse to be mixed
    logits, targets = logits.as_subclass(Tensor).flatten(2), targets.as_subclass(Tensor).flatten(2)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    valid, may_be_soft = targets != IGNORE, targets.is_floating_point()
    # masked before anything is computed: not even a nan of an ignored pixel gets through
    return Pixels(logits.masked_fill(~valid, 0), targets.to(logits.dtype).masked_fill(~valid, 0), valid, may_be_soft)


def _near_boundary(targets: Tensor, reach_px: int) -> Tensor:
    """Where both a true and a false pixel lie within reach; targets (N, K, *), bool of the same shape."""
    if targets.ndim - 2 not in POOL:
        raise ValueError(f"targets are {tuple(targets.shape)}; a boundary needs 1 to 3 spatial axes after (N, K)")
    spread, near = POOL[targets.ndim - 2], torch.ones_like(targets, dtype=torch.bool)
    for value in (0, 1):
        near &= spread((targets == value).float(), 2 * reach_px + 1, stride=1, padding=reach_px) > 0
    return near


def _wrongness(pixels: Pixels) -> Tensor:
    """Logit of being wrong: the logits, their sign turned where the truth is 1."""
    return pixels.logits * (1 - 2 * pixels.truth)


def _expected(pixels: Pixels, cost: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Cost (wrongness, truth) of each pixel; of a soft one the mean over what it may be, as probable as it says."""
    if not pixels.may_be_soft:
        return cost(_wrongness(pixels), pixels.truth)
    true, false = torch.ones_like(pixels.truth), torch.zeros_like(pixels.truth)
    return pixels.truth * cost(-pixels.logits, true) + (1 - pixels.truth) * cost(pixels.logits, false)


def _pixel_mean(values: Tensor, valid: Tensor) -> Tensor:
    counts = valid.sum((0, 2))
    return _mean_of((values * valid).sum((0, 2)) / counts.clamp(min=1), counts > 0)


def _mean_of(values: Tensor, present: Tensor) -> Tensor:
    """Mean of the values of what is present (has a pixel that counts); 0, with a gradient, if nothing is."""
    return (values * present).sum() / present.sum().clamp(min=1)


def _sorted_errors(pixels: Pixels, per_image: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Hinge errors, largest first, with truth and valid (both bool) in that order."""
    if not per_image:
        pixels = Pixels(*(part.transpose(0, 1).flatten(1) for part in pixels[:3]))
    margins, order = (1 + _wrongness(pixels)).sort(dim=-1, descending=True)
    return F.relu(margins), (pixels.truth > 0).gather(-1, order), pixels.valid.gather(-1, order)


def _jaccard_steps(truth: Tensor, valid: Tensor) -> Tensor:
    """Growth of 1 - IoU as valid pixels, in the order given along the last axis, turn wrong one after the other.

    With intersection I and union U after the pixel: a true one took one from the intersection, a step of 1 / U; a false
    one added one to the union, a step of I / (U - 1) - I / U = I / (U (U - 1)), or 1 if it is the first of an empty
    truth. Computed so, not as a difference of running quotients, steps stay precise among millions of pixels.
    """
    truth, false = truth & valid, ~truth & valid
    positives = truth.sum(-1, keepdim=True)
    intersection = (positives - truth.cumsum(-1)).float()
    union = (positives + false.cumsum(-1)).float()
    false_step = torch.where(union > 1, intersection / (union - 1).clamp(min=1), 1.0)
    return torch.where(truth, 1.0, false_step) / union.clamp(min=1) * valid


LOSSES: dict[str, Loss] = {
    "bce": bce,
    "boundary_bce": boundary_bce,
    "tversky": tversky,
    "bce_lovasz": bce_lovasz,
    "symmetric_lovasz": symmetric_lovasz,
    "dice_coef_loss": dice_coef_loss,
    "sym_lovasz_dice": sym_lovasz_dice,
    "loss_focal_corrected": loss_focal_corrected,
    "loss_sym_lovasz_focal_corrected": loss_sym_lovasz_focal_corrected,
    "sym_lovasz_focal_dice": sym_lovasz_focal_dice,
    "bce_dice": bce_dice,
    "dice_ce": dice_ce,
}
WITH_POS_WEIGHT: dict[str, Callable[..., Tensor]] = {"bce": bce, "bce_dice": bce_dice, "bce_lovasz": bce_lovasz}
