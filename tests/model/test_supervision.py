import math

import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader

from config import load_cfg
from config.check import WITH_INNER_MASKS
from model.callbacks.average import build_averaging
from model.card import ModelCard
from model.checkpoints import load_checkpoint
from model.custom_models import build_model, build_network, load_state, parameter_groups
from model.learner import build_learner, fit, keep_weights
from model.supervision import INNER, build_supervision, has_any, supervised_loss
from utils.losses import IGNORE, bce, build_loss

CARD = ModelCard("Unet", "resnet18", 3, ("a",), (0.0,) * 3, (1.0,) * 3, 1.0)


def config(architecture="Unet", *options):
    heads = ["SOLVER.DEEP_SUPERVISION", "0.5", "MODEL.ANY_HEAD", "0.25"]
    return load_cfg(options=["MODEL.ARCHITECTURE", architecture, *heads, *options])


def patches(count=4, side=64):
    images = torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(0))
    return [(image, (image[:1] > 0.8).to(torch.uint8)) for image in images]


def test_the_choice_of_architectures_is_the_table():
    assert sorted(WITH_INNER_MASKS) == sorted(INNER)


def test_without_heads_the_network_and_its_loss_are_as_they_were():
    network = build_network("Unet", "resnet18", None, 3, 1)
    trained, loss = build_supervision(load_cfg(), network)
    assert trained is network
    assert loss is build_loss(load_cfg())


@pytest.mark.parametrize(
    "architecture", [name for name in INNER if name not in ("UneXt101", "UneXt50", "monai-DynUNet")]
)
def test_heads_speak_in_training_only(architecture):
    network = build_network(architecture, "resnet18", None, 3, 2)
    trained, _ = build_supervision(config(architecture, "DATASETS.CLASSES", "['a', 'b']"), network)
    images = torch.rand(2, 3, 64, 96)
    assert trained.train()(images).shape == (2, 2 * (1 + 3 + 1), 64, 96)
    assert torch.equal(trained.eval()(images), network.eval()(images))
    assert trained.features is None


def test_every_head_learns_and_the_encoder_stays_a_group_of_its_own():
    network = build_network("UnetPlusPlus", "resnet18", None, 3, 1)
    trained, loss = build_supervision(config("UnetPlusPlus"), network)
    images, masks = (torch.stack(part) for part in zip(*patches(), strict=True))
    loss(trained.train()(images), masks).backward()
    heads = [*trained.heads.parameters(), *trained.any_head.parameters()]
    assert all(bool(head.grad.any()) for head in heads)
    bare, _ = parameter_groups(network)
    encoder, rest = parameter_groups(trained)
    assert [id(p) for p in encoder] == [id(p) for p in bare]
    assert {id(p) for p in heads} <= {id(p) for p in rest}


@pytest.mark.parametrize("architecture", ["FPN", "DPT", "PSPNet"])
def test_any_encoder_can_say_whether_a_patch_holds_something(architecture):
    network = build_network(architecture, "tu-test_vit" if architecture == "DPT" else "resnet18", None, 3, 1)
    trained, _ = build_supervision(config(architecture, "SOLVER.DEEP_SUPERVISION", "0"), network)
    assert trained.train()(torch.rand(2, 3, 64, 64)).shape == (2, 2, 64, 64)


def test_the_loss_is_the_sum_of_its_parts_by_hand():
    even, targets = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1, 0], [0, 0]]]])
    sure = torch.full((1, 1, 2, 2), 100.0)
    logits = torch.cat([even, even, sure, even], 1)  # mask, two inner ones, the whole patch
    loss = supervised_loss(bce, inner=2, deep_weight=0.5, any_weight=0.25)
    wrong = 3 / 4 * 100
    expected = math.log(2) + 0.5 * (math.log(2) + wrong) / 2 + 0.25 * math.log(2)
    assert loss(logits, targets).item() == pytest.approx(expected)
    assert loss(even, targets).item() == pytest.approx(math.log(2))


def test_a_patch_holds_a_class_or_not_or_is_not_known():
    targets = torch.tensor([[[0, 0, 0], [0, 1, 0], [0, IGNORE, 0], [1, IGNORE, 0]]], dtype=torch.uint8)
    assert has_any(targets).tolist() == [[[0], [1], [IGNORE], [1]]]


def test_a_patch_of_soft_targets_holds_a_class_as_probably_as_its_highest_pixel():
    targets = torch.tensor([[[0.25, 0.5], [IGNORE, 0.5]]])
    assert has_any(targets).tolist() == [[[0.5], [IGNORE]]]


VOLUME = ["MODEL.AXES", "3", "MODEL.IN_CHANNELS", "1", "MODEL.CHANNELS", "[4, 8, 8, 16]", "MODEL.ANY_HEAD", "0"]
TWO = ["DATASETS.CLASSES", "['a', 'b']", "MODEL.ACTIVATION", "softmax"]


def test_inner_layers_of_a_network_for_volumes_learn_the_mask_too():
    cfg = config("monai-DynUNet", *VOLUME, *TWO)
    network = build_model(cfg)
    trained, loss = build_supervision(cfg, network)
    images = torch.rand(2, 1, 16, 8, 24)
    logits = trained.train()(images)
    assert trained.inner == ("upsamples.0", "upsamples.1")
    assert logits.shape == (2, 2 * (1 + 2), 16, 8, 24)
    for part in logits.split(2, 1):
        assert torch.all(part.sigmoid().sum(1) < 1)  # the classes exclude each other in every head
    loss(logits, (images > torch.tensor([0.8, 0.9]).reshape(1, 2, 1, 1, 1)).to(torch.uint8)).backward()
    assert all(bool(each.grad.any()) for each in trained.heads.parameters())
    assert torch.equal(trained.eval()(images), network.eval()(images))


def test_weights_are_kept_without_the_heads_and_averages_too(tmp_path):
    torch.manual_seed(0)
    cfg = config("Unet", "SOLVER.EPOCHS", "2", "SOLVER.EMA", "0.5")
    network = build_network("Unet", "resnet18", None, 3, 1)
    shown, averaging = build_averaging(cfg, network)
    dls = DataLoaders(DataLoader(Drawn(patches()), bs=2, num_workers=0), DataLoader(patches(2), bs=2, num_workers=0))
    keep = keep_weights(shown, CARD, tmp_path / "best.safetensors", tmp_path / "last.safetensors")
    fit(build_learner(dls, network, cfg, [*averaging, keep]), cfg)
    state, _ = load_checkpoint(tmp_path / "last.safetensors")
    plain = build_network("Unet", "resnet18", None, 3, 1)
    load_state(plain, state, "last")
    assert torch.equal(plain.segmentation_head[0].weight, shown.segmentation_head[0].weight)


class Drawn(list):
    """Patches that know their epoch."""

    epoch = 0
