import copy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader

from config import load_cfg
from config.check import check_cfg
from config.networks import READS
from model.card import build_card
from model.checkpoints import load_checkpoint, save_checkpoint
from model.custom_models import build_model, build_network, check_network, load_state, parameter_groups
from model.export import export_onnx
from model.learner import build_learner, fit, keep_weights
from model.network_options import NetworkOptions, build_trial_sizes, raster
from model.onnx import OnnxNetwork
from model.predictor import Member, Predictor, load_member, refuse_mixture
from model.torch_network import TorchNetwork
from model.training_state import load_state as load_training
from model.training_state import save_state as save_training
from model.volume_networks import VOLUME_NETWORKS

pytest.importorskip("monai")
SMALL = {  # channels and a patch, as small as each can be
    "monai-UNet": ("[4, 8, 16]", (8, 8, 16)),
    "monai-AttentionUnet": ("[4, 8, 16]", (8, 8, 16)),
    "monai-BasicUNet": ("[4, 4, 8, 8, 16]", (16, 16, 32)),
    "monai-DynUNet": ("[4, 8, 16]", (8, 8, 16)),
    "monai-SegResNet": ("[8, 16, 32]", (8, 8, 16)),
    "monai-SwinUNETR": ("[12]", (32, 32, 64)),
    "monai-UNETR": ("[4, 64]", (16, 16, 32)),
}
SLOW = pytest.param("monai-SwinUNETR", marks=pytest.mark.slow)
WITH_SLOW = [SLOW if name == "monai-SwinUNETR" else name for name in SMALL]


def config(name: str, *options: str):
    channels, patch = SMALL[name]
    volumes = ["MODEL.AXES", "3", "MODEL.IN_CHANNELS", "1", "INPUT.PATCH", str(list(patch)), "TEST.TTA", "flips"]
    classes = ["DATASETS.CLASSES", "['front', 'back']", "MODEL.ACTIVATION", "softmax"]
    return load_cfg(options=["MODEL.ARCHITECTURE", name, "MODEL.CHANNELS", channels, *volumes, *classes, *options])


def card_of(cfg):
    return build_card(cfg, [0.5], [0.25])


def random_network(name: str, *options: str):
    torch.manual_seed(0)
    return build_model(config(name, *options)).eval()


def volumes(count: int, shape: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random float volumes, in which the first half along rows is brighter, and masks of two classes."""
    images = torch.rand((count, 1, *shape), generator=torch.Generator().manual_seed(0))
    bright = (images > 0.7).to(torch.uint8)
    rows = torch.arange(shape[1]).reshape(1, 1, 1, -1, 1) < shape[1] // 2
    return list(zip(images, torch.cat([bright * rows, bright * ~rows], 1), strict=True))


class Drawn(list):
    """Patches that know their epoch."""

    epoch = 0


def test_the_table_of_the_config_is_the_table_of_networks():
    assert list(READS) == list(VOLUME_NETWORKS)


@pytest.mark.parametrize("name", WITH_SLOW)
def test_a_network_loads_alone_from_its_weights_and_gives_classes_that_exclude_each_other(name, tmp_path):
    cfg = config(name)
    check_cfg(cfg)
    network, images = random_network(name), torch.rand(2, 1, *SMALL[name][1])
    check_network(network, 1, build_trial_sizes(cfg))
    save_checkpoint(tmp_path / "one.safetensors", network.state_dict(), card_of(cfg))
    state, card = load_checkpoint(tmp_path / "one.safetensors")
    assert card == card_of(cfg)
    loaded = build_network(card.architecture, "", None, card.in_channels, len(card.classes), card.network)
    load_state(loaded, state, "one.safetensors")
    with torch.no_grad():
        logits = network(images)
        assert torch.equal(loaded.eval()(images), logits)
    assert logits.shape == (2, 2, *SMALL[name][1])
    assert torch.all(logits.sigmoid().sum(1) < 1)
    assert sum(value.numel() for value in state.values()) == sum(value.numel() for value in {
        id(value): value for value in network.state_dict(keep_vars=True).values()}.values())  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SMALL if name != "monai-UNETR"])
def test_every_network_has_a_form_in_two_axes(name):
    cfg = config(name, "MODEL.AXES", "2", "INPUT.PATCH", "[]", "INPUT.SIZE_TRAIN", "64", "MODEL.ACTIVATION", "sigmoid")
    check_cfg(cfg)
    check_network(build_model(cfg), 1, build_trial_sizes(cfg))


@pytest.mark.parametrize("name", SMALL)
def test_every_option_that_a_network_reads_changes_it(name):
    plain = NetworkOptions(axes=3, channels=load_cfg(options=["MODEL.CHANNELS", SMALL[name][0]]).MODEL.CHANNELS,
                           patch=SMALL[name][1] if name == "monai-UNETR" else ())  # fmt: skip
    others = {"NORM": {"norm": "batch"}, "DROPOUT": {"dropout": 0.5}, "STRIDES": {"strides": (2, (1, 2, 2))}}
    kinds = str(build_network(name, "", None, 1, 2, plain))
    for option, change in others.items():
        if option in READS[name]:
            assert str(build_network(name, "", None, 1, 2, replace(plain, **change))) != kinds


def test_residual_units_are_those_of_unet():
    counts = [
        len(list(random_network("monai-UNet", "MODEL.RES_UNITS", units).parameters())) for units in ("0", "1", "2")
    ]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        ("monai-UNet", {}, (8, 8, 8)),
        ("monai-DynUNet", {"channels": (4, 8, 8), "strides": [2, [1, 2, 4]]}, (2, 4, 8)),
        ("monai-SegResNet", {"channels": (8, 16)}, (2, 2, 2)),
        ("monai-SwinUNETR", {}, (32, 32, 32)),
        ("Unet", {"axes": 2}, (32, 32)),
    ],
)
def test_sides_are_multiples_of_the_product_of_the_strides(name, options, steps):
    assert raster(name, NetworkOptions(**{"axes": 3} | options)) == steps


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("monai-UNet", (8, 10, 8), r"patch is \(8, 10, 8\); this monai-UNet wants sides that are multiples of \(4, 4"),
        ("monai-SegResNet", (8, 8), r"patch is \(8, 8\); monai-SegResNet was made for 3 axes \(MODEL.AXES\)"),
        ("monai-UNETR", (32, 16, 32), r"patch is \(32, 16, 32\); this monai-UNETR takes \(16, 16, 32\) alone"),
    ],
)
def test_a_patch_that_a_network_cannot_take_is_refused_with_what_it_can(name, shape, message):
    with pytest.raises(ValueError, match=message):
        random_network(name)(torch.zeros(1, 1, *shape))


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("monai-BasicUNet", ["INPUT.PATCH", "[]", "INPUT.FROM", "whole"], "40 x 40 x 40"),
        ("monai-UNETR", ["TEST.PATCHES", "[32, 32, 32]"], "32 x 32 x 32"),
    ],
)
def test_whole_volumes_and_patches_of_prediction_that_a_network_cannot_take_are_found_too(name, options, size):
    cfg = config(name, *options)
    with pytest.raises(ValueError, match=f"cannot take a patch of {size} pixels"):
        check_network(build_model(cfg), 1, build_trial_sizes(cfg))


def test_a_patch_of_the_config_that_cannot_work_is_found_before_training():
    cfg = config("monai-UNet", "INPUT.PATCH", "[8, 8, 9]")
    with pytest.raises(
        ValueError, match=r"cannot take a patch of 8 x 8 x 9 pixels: .*multiples.*; choose another INPUT"
    ):
        check_network(build_model(cfg), 1, build_trial_sizes(cfg))


@pytest.mark.parametrize(
    ("name", "channels", "message"),
    [
        ("monai-SegResNet", (8, 16, 24), "channels are .8, 16, 24.; they double from level to level"),
        ("monai-SwinUNETR", (10,), "monai-SwinUNETR cannot have CHANNELS, STRIDES and NORM of MODEL: feature_size"),
        ("UneXt18", (), "MODEL.ARCHITECTURE UneXt18 is for 2 axes; for MODEL.AXES 3 take one of .'monai-UNet'"),
    ],
)
def test_what_no_network_can_be_made_of_is_named(name, channels, message):
    with pytest.raises(ValueError, match=message):
        build_network(name, "", None, 1, 1, NetworkOptions(axes=3, channels=channels))


def test_without_monai_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(ValueError, match=r"needs MONAI, which is not installed; .*requirements-volumes.txt"):
        build_network("monai-UNet", "", None, 1, 1, NetworkOptions(axes=3))


def test_a_network_that_holds_tensors_under_two_names_is_kept_and_averaged(tmp_path):
    network = random_network("monai-DynUNet")
    state = network.state_dict()
    assert len({value.data_ptr() for value in state.values()}) < len(state)
    save_training(tmp_path / "state", {"model": state})
    found = load_training(tmp_path / "state")["model"]
    assert all(torch.equal(value, found[key]) for key, value in state.items())
    twin = copy.deepcopy(network)
    torch.nn.init.zeros_(twin.input_block.conv1.conv.weight)
    assert not twin.skip_layers.downsample.conv1.conv.weight.any()


def test_groups_of_a_network_without_an_encoder_are_nothing_and_all():
    for name in SMALL:
        network = random_network(name)
        assert [len(group) for group in parameter_groups(network)] == [0, len(list(network.parameters()))]


def test_mean_over_eight_mirror_images_treats_them_alike():
    cfg = config("monai-UNet")
    predictor = Predictor([Member(TorchNetwork(random_network("monai-UNet"), card_of(cfg)), card_of(cfg))], "flips")
    assert predictor.raster == (4, 4, 4)
    patch = np.random.default_rng(0).uniform(0, 255, (1, 1, 8, 8, 16)).astype(np.float32)
    found = predictor(patch)
    for axes in ((2,), (3, 4), (2, 3, 4)):
        np.testing.assert_allclose(predictor(np.flip(patch, axes)), np.flip(found, axes), atol=1e-6)


def test_float_patches_at_a_scale_stay_on_the_networks_raster_and_are_not_rounded():
    seen = []

    def network(patches):
        seen.append(patches)
        return np.zeros((1, 2, *patches.shape[2:]), np.float32)

    patch = np.full((1, 1, 8, 8, 16), 0.25, np.float32)
    Predictor([Member(network, card_of(config("monai-UNet")))], scales=(1.5,))(patch)
    assert seen[0].shape[2:] == (12, 12, 24)
    assert seen[0].dtype == np.float32
    np.testing.assert_allclose(seen[0], 0.25)


def test_networks_for_slides_and_for_volumes_are_not_averaged():
    card = card_of(config("monai-UNet"))
    flat = replace(card, network=replace(card.network, axes=2))
    with pytest.raises(ValueError, match=r"one.safetensors is for 3 axes and two.safetensors for 2; they cannot be"):
        refuse_mixture(Path("one.safetensors"), card, Path("two.safetensors"), flat)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["monai-UNet", "monai-SegResNet", "monai-DynUNet", "monai-AttentionUnet", "monai-UNETR"]
)
def test_float_volumes_have_the_same_probabilities_in_onnx(name, tmp_path):
    card, network = card_of(config(name)), random_network(name)
    assert export_onnx(network, card, tmp_path / "network.onnx") < 1e-4
    runtime = OnnxNetwork(tmp_path / "network.onnx")
    assert runtime.card == card
    patches = np.random.default_rng(0).uniform(0, 255, (1, 1, *SMALL[name][1])).astype(np.float32)
    np.testing.assert_allclose(runtime(patches), TorchNetwork(network, card)(patches), atol=1e-4)
    whole = np.rint(patches)
    np.testing.assert_array_equal(runtime(whole.astype(np.uint8)), runtime(whole))


@pytest.mark.parametrize("name", [name for name in WITH_SLOW if name not in ("monai-AttentionUnet", "monai-BasicUNet")])
def test_a_network_learns_random_volumes_and_predicts_from_its_file(name, tmp_path):
    deep = ["SOLVER.DEEP_SUPERVISION", "0.5"] if name == "monai-DynUNet" else []
    solver = ["SOLVER.LOSS_FUNCTION_NAME", "dice_ce", "SOLVER.EPOCHS", "4", "SOLVER.LR", "0.01"]
    cfg = config(name, *solver, *deep)
    check_cfg(cfg)
    torch.manual_seed(0)
    network, patches = build_model(cfg), volumes(4, SMALL[name][1])
    dls = DataLoaders(DataLoader(Drawn(patches), bs=2, num_workers=0), DataLoader(patches[:2], bs=2, num_workers=0))
    best, last = tmp_path / "best.safetensors", tmp_path / "last.safetensors"
    card = replace(card_of(cfg), mean=(0.0,), std=(1.0,))
    learner = build_learner(dls, network, cfg, [keep_weights(network, card, best, last)])
    fit(learner, cfg)
    losses = [values[0] for values in learner.recorder.values]
    assert losses[-1] < losses[0]
    found = load_member(cfg, last).network(255 * patches[0][0][None].numpy())
    with torch.no_grad():
        expected = network.eval()(patches[0][0][None]).sigmoid().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
