"""Losses in three axes, held against MONAI's, and those of classes that exclude each other."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from config import load_cfg
from model.exclusive import exclusive
from utils.losses import (
    IGNORE,
    LOSSES,
    bce,
    build_loss,
    dice_ce,
    dice_coef_loss,
    loss_focal_corrected,
    tversky,
)

losses = pytest.importorskip("monai.losses")


def batch(classes: int = 3, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits (2, K, 5, 6, 7) and a one-hot truth over the classes, without their background."""
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, classes + 1, (2, 5, 6, 7), generator=generator)
    logits = scale * torch.randn(2, classes, 5, 6, 7, generator=generator)
    return logits, F.one_hot(index, classes + 1).movedim(-1, 1)[:, 1:].float()


def with_background(part: Tensor, background: Tensor) -> Tensor:
    return torch.cat([background, part], 1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (dice_coef_loss, losses.DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)),
        (tversky, losses.TverskyLoss(sigmoid=True, batch=True, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0)),
        (loss_focal_corrected, losses.FocalLoss(alpha=0.25, gamma=2.0)),
    ],
)
def test_a_loss_of_volumes_is_that_of_monai(ours, theirs) -> None:
    logits, truth = batch()
    torch.testing.assert_close(ours(logits, truth), theirs(logits, truth))


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_dice_and_cross_entropy_are_those_of_a_softmax_in_monai(classes: int, scale: float) -> None:
    logits, truth = batch(classes, scale)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = dice_ce(exclusive(ours), truth)
    zeros = torch.zeros_like(logits[:, :1])
    one_hot = with_background(truth, 1 - truth.sum(1, keepdim=True))
    expected = losses.DiceCELoss(softmax=True)(with_background(theirs, zeros), one_hot)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


def test_a_network_that_is_sure_and_wrong_of_the_background_gets_its_finite_cost_and_a_gradient() -> None:
    logits = torch.tensor([40.0, 39.0]).reshape(1, 2, 1, 1, 1).requires_grad_()
    value = dice_ce(exclusive(logits), torch.zeros(1, 2, 1, 1, 1))
    value.backward()
    assert 5 < value.item() < 60
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.flatten()[0] > 0


def test_ignored_voxels_count_for_nothing() -> None:
    logits, truth = batch()
    kept = torch.rand(2, 1, 5, 6, 7, generator=torch.Generator().manual_seed(1)) > 0.3
    kept[:, :, 0] = True
    lists = [
        torch.stack([each[i].masked_select(kept[i].expand_as(each[i])).reshape(3, -1)[:, :40] for i in range(2)])
        for each in (exclusive(logits), truth)
    ]
    counted = kept & (kept.flatten(2).cumsum(2).reshape(kept.shape) <= 40)
    found = dice_ce(exclusive(logits), truth.masked_fill(~counted, IGNORE))
    torch.testing.assert_close(found, dice_ce(*lists))


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "boundary_bce"])
def test_a_voxel_is_a_pixel_whatever_the_axes(name: str) -> None:
    logits, truth = batch()
    flat = [each.reshape(2, 3, 5, -1) for each in (logits, truth)]
    torch.testing.assert_close(LOSSES[name](logits, truth), LOSSES[name](*flat))


def test_a_true_voxel_weighs_as_much_as_in_torch() -> None:
    logits, truth = batch()
    expected = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=torch.tensor(3.0))
    torch.testing.assert_close(bce(logits, truth, pos_weight=3.0), expected)


def test_dice_and_three_tenths_of_weighted_bce_are_a_list_of_parts() -> None:
    parts = ["SOLVER.LOSS_PARTS", "[['dice_coef_loss', 1], ['bce', 0.3]]", "SOLVER.POS_WEIGHT", "3"]
    logits, truth = batch()
    expected = dice_coef_loss(logits, truth) + 0.3 * bce(logits, truth, 3.0)
    torch.testing.assert_close(build_loss(load_cfg(options=parts))(logits, truth), expected)


def test_the_weight_of_foreground_reaches_the_losses_that_hold_bce() -> None:
    logits, truth = batch()
    for name in ("bce", "bce_dice", "bce_lovasz"):
        weighted = build_loss(load_cfg(options=["SOLVER.LOSS_FUNCTION_NAME", name, "SOLVER.POS_WEIGHT", "3"]))
        assert weighted(logits, truth) > LOSSES[name](logits, truth)
