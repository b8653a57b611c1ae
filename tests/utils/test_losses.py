import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from config import load_cfg
from config.check import SOFT_LOSSES
from utils.losses import (
    IGNORE,
    LOSSES,
    bce,
    bce_dice,
    bce_lovasz,
    boundary_bce,
    build_loss,
    dice_ce,
    dice_coef_loss,
    loss_focal_corrected,
    loss_sym_lovasz_focal_corrected,
    lovasz_hinge,
    sym_lovasz_dice,
    sym_lovasz_focal_dice,
    symmetric_lovasz,
    tversky,
    weighted_sum,
)

every_loss = pytest.mark.parametrize("loss", [*LOSSES.values(), lovasz_hinge], ids=lambda loss: loss.__name__)
every_loss_of_lists = pytest.mark.parametrize(  # where a pixel lies does not matter
    "loss", [*(set(LOSSES.values()) - {boundary_bce}), lovasz_hinge], ids=lambda loss: loss.__name__
)
every_loss_by_class = pytest.mark.parametrize(  # a pixel may count for one class and not for another
    "loss", [*(set(LOSSES.values()) - {dice_ce}), lovasz_hinge], ids=lambda loss: loss.__name__
)
every_named_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def row(*values: float) -> Tensor:
    """One image, one class, one line of pixels."""
    return torch.tensor([[values]], dtype=torch.float32)


def random_batch(shape: tuple[int, ...] = (3, 2, 8, 8), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), (torch.rand(shape, generator=generator) > 0.6).float()


def with_ignored(targets: Tensor, seed: int = 1) -> Tensor:
    ignored = torch.rand(targets.shape, generator=torch.Generator().manual_seed(seed)) < 0.3
    return targets.masked_fill(ignored, IGNORE)


def lovasz_by_definition(logits: Tensor, truth: Tensor) -> float:
    """Lovász extension of the Jaccard loss, straight from its definition, of lists of pixels."""
    errors = [max(0.0, 1 - z * (1 if t else -1)) for z, t in zip(logits.tolist(), truth.tolist(), strict=True)]
    order = sorted(range(len(errors)), key=lambda i: -errors[i])

    def jaccard_loss(wrong: set[int]) -> float:
        true = {i for i, t in enumerate(truth.tolist()) if t}
        union = len(true | wrong)
        return 1 - len(true - wrong) / union if union else 0.0

    steps = [jaccard_loss(set(order[: i + 1])) - jaccard_loss(set(order[:i])) for i in range(len(order))]
    return sum(errors[i] * step for i, step in zip(order, steps, strict=True))


# ------------------------------------------------------------------------------------------------- values by hand


def test_dice_of_one_sure_hit_and_one_even_guess() -> None:
    # p = (1, 1/2), t = (1, 0): 1 - (2 * 1 + 1) / (1.5 + 1 + 1)
    assert dice_coef_loss(row(100, 0), row(1, 0)).item() == pytest.approx(1 - 3 / 3.5)


def test_dice_sums_over_the_batch_before_it_divides() -> None:
    logits = torch.tensor([[[100.0, -100]], [[-100.0, -100]]])
    targets = torch.tensor([[[1.0, 0]], [[1.0, 0]]])
    assert dice_coef_loss(logits, targets).item() == pytest.approx(1 - 3 / 4)  # |P T| = 1, |P| = 1, |T| = 2


def test_dice_is_the_mean_over_classes() -> None:
    logits = torch.tensor([[[100.0, -100], [100.0, -100]]])
    targets = torch.tensor([[[1.0, 0], [0.0, 1]]])  # the first right, the second wrong: 1 - 1/3
    assert dice_coef_loss(logits, targets).item() == pytest.approx((0 + 2 / 3) / 2)


def test_bce_of_even_guesses_is_log_two() -> None:
    assert bce(row(0, 0, 0), row(0, 1, 1)).item() == pytest.approx(math.log(2))


def test_focal_of_even_guesses() -> None:
    # each pixel: weight * (1/2)^2 * log 2, with weights 0.25 (true) and 0.75 (false)
    assert loss_focal_corrected(row(0, 0), row(1, 0)).item() == pytest.approx((0.25 + 0.75) / 2 * math.log(2) / 4)


def test_focal_is_the_mean_of_pixels_and_not_of_the_mean() -> None:
    logits, targets = row(math.log(3), 0), row(1, 1)  # p = 3/4, 1/2
    pixels = [(1 / 4) ** 2 * math.log(4 / 3), (1 / 2) ** 2 * math.log(2)]
    assert loss_focal_corrected(logits, targets, alpha=1).item() == pytest.approx(sum(pixels) / 2)


def test_focal_agrees_with_torchvision() -> None:
    logits, targets = random_batch()
    assert loss_focal_corrected(logits, targets).item() == pytest.approx(
        sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2, reduction="mean").item(), rel=1e-5
    )


def test_tversky_weighs_false_and_missed_pixels() -> None:
    # p = (1, 1/2, 0), t = (1, 0, 1): TP 1, FP 1/2, FN 1
    loss = tversky(row(100, 0, -100), row(1, 0, 1))
    assert loss.item() == pytest.approx(1 - (1 + 1) / (1 + 0.3 * 0.5 + 0.7 * 1 + 1))


def test_tversky_of_equal_weights_is_dice() -> None:
    batch = random_batch()
    torch.testing.assert_close(tversky(*batch, alpha=0.5, beta=0.5, smooth=0.5), dice_coef_loss(*batch))


def test_a_pixel_near_a_boundary_weighs_more() -> None:
    # the truth turns between the fourth and the fifth of eight pixels: two on each side weigh 5
    logits, targets = row(0, 0, math.log(3), 0, 0, 0, 0, -math.log(3)), row(0, 0, 0, 0, 1, 1, 1, 1)
    even, wrong = math.log(2), math.log(4)
    expected = (5 * (3 * even + wrong) + 3 * even + wrong) / (5 * 4 + 4)
    assert boundary_bce(logits, targets).item() == pytest.approx(expected)


def test_a_boundary_with_ignored_pixels_is_none() -> None:
    logits = torch.randn(1, 1, 9, generator=torch.Generator().manual_seed(0))
    targets = row(0, 0, 0, 0, IGNORE, IGNORE, IGNORE, 1, 1)  # further apart than the reach
    torch.testing.assert_close(boundary_bce(logits, targets), bce(logits, targets))
    assert boundary_bce(logits, row(0, 0, 0, 0, 0, IGNORE, 1, 1, 1)) != bce(logits, row(0, 0, 0, 0, 0, IGNORE, 1, 1, 1))


def test_a_boundary_lies_where_both_truths_are_in_reach_along_every_axis() -> None:
    targets = torch.zeros(1, 1, 9, 9)
    targets[0, 0, 0, 0] = 1
    logits = torch.zeros(1, 1, 9, 9)
    logits[0, 0, 2, 2] = 100.0  # the corner of what is near
    total = 5 * 100 + (9 - 1) * 5 * math.log(2) + (81 - 9) * math.log(2)
    assert boundary_bce(logits, targets).item() == pytest.approx(total / (81 + 9 * 4))


def test_bce_agrees_with_torch() -> None:
    logits, targets = random_batch()
    assert bce(logits, targets).item() == pytest.approx(
        F.binary_cross_entropy_with_logits(logits, targets).item(), rel=1e-5
    )


def test_lovasz_hinge_by_hand() -> None:
    # errors: true pixel at 0.5 -> 0.5; false pixel at 1 -> 2; false pixel at -3 -> 0
    # order: false (2): IoU loss 0 -> 1/2; true (0.5): 1/2 -> 1; so 2 * 1/2 + 0.5 * 1/2
    assert lovasz_hinge(row(0.5, 1, -3), row(1, 0, 0)).item() == pytest.approx(1.25)


def test_symmetric_lovasz_by_hand() -> None:
    # of the background (two pixels) the error 2 takes one away: IoU 1 -> 1/2; then the error 0.5 adds one: 1/2 -> 1/3
    # so 2 * 1/2 + 0.5 * (1/2 - 1/3)
    assert symmetric_lovasz(row(0.5, 1, -3), row(1, 0, 0)).item() == pytest.approx((1.25 + 1 + 0.5 / 6) / 2)


def test_lovasz_of_an_empty_truth_is_the_largest_error() -> None:
    assert lovasz_hinge(row(-0.5, 2, -3), row(0, 0, 0)).item() == pytest.approx(3)


@pytest.mark.parametrize("seed", range(5))
def test_lovasz_is_the_extension_by_definition(seed: int) -> None:
    logits, targets = random_batch((1, 1, 12), seed)
    expected = lovasz_by_definition(logits[0, 0], targets[0, 0])
    turned = lovasz_by_definition(-logits[0, 0], 1 - targets[0, 0])
    assert lovasz_hinge(logits, targets).item() == pytest.approx(expected, rel=1e-5)
    assert symmetric_lovasz(logits, targets).item() == pytest.approx((expected + turned) / 2, rel=1e-5)


def test_lovasz_of_a_batch_is_that_of_one_long_image() -> None:
    logits, targets = random_batch((4, 1, 6, 5))
    long = [part.transpose(0, 1).reshape(1, 1, -1) for part in (logits, targets)]
    for loss in (lovasz_hinge, symmetric_lovasz):
        torch.testing.assert_close(loss(logits, targets, per_image=False), loss(*long))


def test_lovasz_per_image_is_the_mean_over_images_and_classes() -> None:
    logits, targets = random_batch((3, 2, 7))
    each = [
        symmetric_lovasz(logits[n : n + 1, k : k + 1], targets[n : n + 1, k : k + 1]) for n in range(3) for k in (0, 1)
    ]
    torch.testing.assert_close(symmetric_lovasz(logits, targets), torch.stack(each).mean())


def test_lovasz_is_symmetric_in_foreground_and_background() -> None:
    logits, targets = random_batch()
    torch.testing.assert_close(symmetric_lovasz(logits, targets), symmetric_lovasz(-logits, 1 - targets))


def test_lovasz_stays_precise_among_many_pixels() -> None:
    pixels = 1 << 20
    targets = (torch.arange(pixels) % 2 == 0).float().reshape(1, 1, -1)
    # all wrong by the same error of 2: the steps add up to 1
    assert lovasz_hinge(1 - 2 * targets, targets).item() == pytest.approx(2, rel=1e-4)


def test_combinations_are_the_means_of_their_parts() -> None:
    batch = random_batch()
    lovasz, dice, focal = (loss(*batch) for loss in (symmetric_lovasz, dice_coef_loss, loss_focal_corrected))
    torch.testing.assert_close(sym_lovasz_dice(*batch), (lovasz + dice) / 2)
    torch.testing.assert_close(loss_sym_lovasz_focal_corrected(*batch), (lovasz + focal) / 2)
    torch.testing.assert_close(sym_lovasz_focal_dice(*batch), (lovasz + focal + dice) / 3)
    torch.testing.assert_close(bce_dice(*batch), (bce(*batch) + dice) / 2)
    torch.testing.assert_close(bce_lovasz(*batch), (bce(*batch) + lovasz) / 2)


def test_a_sum_weighs_its_parts() -> None:
    batch = random_batch()
    cfg = load_cfg(options=["SOLVER.LOSS_PARTS", "[['bce', 2], ['tversky', 0.25]]"])
    torch.testing.assert_close(build_loss(cfg)(*batch), 2 * bce(*batch) + tversky(*batch) / 4)
    torch.testing.assert_close(weighted_sum([(bce, 0.5), (dice_coef_loss, 0.5)])(*batch), bce_dice(*batch))


# ---------------------------------------------------------------------------------------- properties of every loss


@every_loss
def test_a_perfect_prediction_costs_nothing(loss) -> None:
    _, targets = random_batch()
    assert loss(40 * (2 * targets - 1), targets).item() == pytest.approx(0, abs=1e-4)


@every_loss
def test_the_opposite_prediction_costs_more_than_an_even_guess(loss) -> None:
    _, targets = random_batch()
    assert loss(4 - 8 * targets, targets) > loss(torch.zeros_like(targets), targets)


@every_loss
@pytest.mark.parametrize("junk", [50.0, -50.0, float("inf"), float("nan")])
def test_ignored_pixels_change_no_loss_and_get_no_gradient(loss, junk: float) -> None:
    logits, targets = random_batch()
    targets = with_ignored(targets)
    expected = loss(logits, targets)
    changed = logits.masked_fill(targets == IGNORE, junk).requires_grad_()
    found = loss(changed, targets)
    found.backward()
    torch.testing.assert_close(found, expected)
    assert changed.grad is not None
    assert torch.all(changed.grad[targets == IGNORE] == 0)
    assert torch.all(torch.isfinite(changed.grad))


@every_loss_of_lists
def test_ignored_pixels_count_as_if_they_were_not_there(loss) -> None:
    logits, targets = random_batch((1, 1, 40))
    targets = with_ignored(targets)
    kept = targets != IGNORE
    torch.testing.assert_close(loss(logits, targets), loss(logits[kept].view(1, 1, -1), targets[kept].view(1, 1, -1)))


@every_loss_by_class
def test_a_class_ignored_throughout_does_not_enter_the_mean(loss) -> None:
    logits, targets = random_batch((2, 2, 30))
    targets[:, 1] = IGNORE
    torch.testing.assert_close(loss(logits, targets), loss(logits[:, :1], targets[:, :1]))


@every_loss
def test_nothing_but_ignored_pixels_gives_zero_with_a_gradient(loss) -> None:
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    value = loss(logits, torch.full(logits.shape, IGNORE))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert torch.all(logits.grad == 0)


@every_loss_of_lists
def test_axes_do_not_matter(loss) -> None:
    logits, targets = random_batch((2, 3, 4, 6, 8))
    targets = with_ignored(targets)
    in_2d = [part.reshape(2, 3, 12, 16) for part in (logits, targets)]
    torch.testing.assert_close(loss(logits, targets), loss(*in_2d))


@every_loss
def test_type_of_the_targets_does_not_matter(loss) -> None:
    logits, targets = random_batch()
    targets = with_ignored(targets)
    for dtype in (torch.uint8, torch.int64, torch.float16, torch.float64):
        torch.testing.assert_close(loss(logits, targets.to(dtype)), loss(logits, targets))
    unignored = targets == 1
    torch.testing.assert_close(loss(logits, unignored), loss(logits, unignored.float()))


@every_loss
def test_half_precision_logits_are_computed_in_single(loss) -> None:
    logits, targets = random_batch((1, 1, 300, 300))  # 90000 pixels: more than float16 counts to
    half = loss(logits.half(), targets)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(logits.half().float(), targets))


@every_loss
def test_extreme_logits_give_finite_gradients(loss) -> None:
    logits = torch.tensor([[[6e4, -6e4, 6e4, -6e4]]], requires_grad=True)
    value = loss(logits, row(1, 1, 0, 0))
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.all(torch.isfinite(logits.grad))


@every_loss
def test_gradient_descent_finds_the_target(loss) -> None:
    logits, targets = random_batch((2, 1, 6, 6))
    logits.requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    first = loss(logits, targets).item()
    for _ in range(150):
        optimiser.zero_grad()
        value = loss(logits, targets)
        value.backward()
        optimiser.step()
    assert value.item() < 0.5 * first
    assert torch.equal(logits > 0, targets > 0)


def test_the_optimum_of_dice_is_the_target_and_not_all_foreground() -> None:
    _, targets = random_batch()
    right, all_foreground = 30 * (2 * targets - 1), torch.full_like(targets, 30)
    assert dice_coef_loss(right, targets) < 1e-3 < dice_coef_loss(all_foreground, targets)


@every_loss
def test_gradients_are_those_of_the_value(loss) -> None:
    logits, targets = random_batch((2, 2, 5))
    logits = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, with_ignored(targets)), logits, atol=1e-4, rtol=1e-3)


@every_named_loss
def test_fastai_tensors_give_a_plain_scalar(loss) -> None:
    class Picture(Tensor):
        pass

    class Mask(Tensor):
        pass

    logits, targets = random_batch()
    value = loss(logits.as_subclass(Picture), targets.as_subclass(Mask))
    assert type(value) is Tensor
    assert value.shape == ()


@every_loss
def test_shapes_that_would_broadcast_are_refused(loss) -> None:
    with pytest.raises(ValueError, match=r"logits are \(2, 1, 4, 4\) and targets \(2, 4, 4\)"):
        loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


# -------------------------------------------------------------------------------------------------- soft targets


def test_bce_of_a_soft_target_is_the_cross_entropy_of_both_probabilities() -> None:
    assert bce(row(0, math.log(3)), row(0.25, 0.5)).item() == pytest.approx(
        (math.log(2) - (0.5 * math.log(0.75) + 0.5 * math.log(0.25))) / 2
    )
    logits, _ = random_batch()
    targets = torch.rand(logits.shape, generator=torch.Generator().manual_seed(5))
    assert bce(logits, targets).item() == pytest.approx(F.binary_cross_entropy_with_logits(logits, targets).item())


def test_focal_loss_of_a_soft_target_is_the_mean_over_what_it_may_be() -> None:
    # p = 1/2: foreground costs 0.25 * 0.25 ln 2 with a chance of 1/4, background 0.75 * 0.25 ln 2 with 3/4
    expected = (0.25 * 0.25 + 0.75 * 0.75) * 0.25 * math.log(2)
    assert loss_focal_corrected(row(0), row(0.25)).item() == pytest.approx(expected)


def test_dice_and_tversky_share_the_lesser_of_prediction_and_soft_target() -> None:
    # p = (1/2, 1/2), t = (1/4, 3/4): both (1/4, 1/2), false 1/4, missed 1/4
    logits, targets = row(0, 0), row(0.25, 0.75)
    assert dice_coef_loss(logits, targets).item() == pytest.approx(1 - (2 * 0.75 + 1) / (1 + 1 + 1))
    index = (0.75 + 1) / (0.75 + 0.3 * 0.25 + 0.7 * 0.25 + 1)
    assert tversky(logits, targets).item() == pytest.approx(1 - index)


@pytest.mark.parametrize("name", [name for name in SOFT_LOSSES if "focal" not in name])  # focal loss is not proper
def test_the_optimum_is_the_soft_target(name) -> None:
    targets = torch.tensor([[[0.1, 0.3, 0.5, 0.8, 1.0, IGNORE]]])
    at_target = torch.logit(targets.clamp(1e-6, 1 - 1e-6))
    best = LOSSES[name](at_target, targets)
    for step in (-0.3, 0.3):
        for place in range(5):
            moved = at_target.clone()
            moved[..., place] += step
            assert LOSSES[name](moved, targets) >= best - 1e-6


def test_ignored_pixels_of_soft_targets_do_not_count() -> None:
    for name in SOFT_LOSSES:
        kept, more = LOSSES[name](row(0.5), row(0.25)), LOSSES[name](row(0.5, 7), row(0.25, IGNORE))
        assert more.item() == pytest.approx(kept.item())


def test_every_name_builds_its_loss() -> None:
    for name, loss in LOSSES.items():
        assert build_loss(load_cfg(options=["SOLVER.LOSS_FUNCTION_NAME", name])) is loss


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ValueError, match=r"SOLVER.LOSS_FUNCTION_NAME is 'dise'; choose one of .*'dice_coef_loss'"):
        build_loss(load_cfg(options=["SOLVER.LOSS_FUNCTION_NAME", "dise"]))
