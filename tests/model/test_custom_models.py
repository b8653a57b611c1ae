import pickle
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from yacs.config import CfgNode

from config import load_cfg
from model import custom_models
from model.custom_models import (
    ARCHITECTURES,
    build_model,
    build_network,
    load_encoder_weights,
    load_state,
    parameter_groups,
    read_weights,
)

SMP_NAMES = [network.__name__ for network in smp.MODEL_ARCHITECTURES_MAPPING.values()]
TIMM_ENCODER = "tf_efficientnet_lite0"


def config(**model) -> CfgNode:
    choices = {"ARCHITECTURE": "UneXt18", "ENCODER_NAME": "resnet18", "ENCODER_WEIGHTS": "None", "IN_CHANNELS": 3}
    options = [str(each) for name, value in (choices | model).items() for each in (f"MODEL.{name}", value)]
    return load_cfg(options=[*options, "DATASETS.CLASSES", "['glomerulus', 'vessel']"])


def classifier_state(seed: int = 0) -> dict[str, Tensor]:
    """State dict of an untrained ResNet-18 classifier."""
    torch.manual_seed(seed)
    return timm.create_model("resnet18", num_classes=7).state_dict()


def forward(model: nn.Module, side: int = 128, in_channels: int = 3) -> Tensor:
    with torch.no_grad():
        return model.eval()(torch.randn(1, in_channels, side, side, generator=torch.Generator().manual_seed(0)))


# ------------------------------------------------------------------------------------------------------ by name


def test_every_smp_architecture_is_in_the_table() -> None:
    assert set(SMP_NAMES) | {"UneXt", "UneXt18", "UneXt50", "UneXt101", "BrainUnet"} == set(ARCHITECTURES)


@pytest.mark.parametrize("architecture", ["UneXt", "UneXt18", *[name for name in SMP_NAMES if name != "DPT"]])
def test_every_architecture_gives_logits_of_the_inputs_size(architecture: str) -> None:
    network = build_network(architecture, "resnet18", None, 3, 2)
    heads = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d) and part.out_channels == 2]
    torch.nn.init.constant_(heads[-1].bias, -5.0)
    logits = forward(network)
    assert logits.shape == (1, 2, 128, 128)
    assert logits.min() < 0  # no probabilities


def test_dpt_takes_a_vision_transformer_and_any_size_of_patch() -> None:
    assert forward(build_network("DPT", "tu-test_vit", None, 3, 2), side=64).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("architecture", ["UneXt", *SMP_NAMES])
def test_a_step_of_every_architecture_reaches_encoder_and_decoder(architecture: str) -> None:
    network = build_network(architecture, "tu-test_vit" if architecture == "DPT" else "resnet18", None, 3, 1).train()
    side = 128 if architecture == "PAN" else 64
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    loss = nn.functional.binary_cross_entropy_with_logits(network(images), (images[:, :1] > 0).float())
    loss.backward()
    for group in parameter_groups(network):
        gradients = [parameter.grad for parameter in group if parameter.grad is not None]
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        assert sum(bool(gradient.any()) for gradient in gradients) >= len(group) / 2


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("DPT", "tu-vit_small_patch14_reg4_dinov2"),
        ("DPT", "tu-vit_tiny_patch16_224"),
        ("DPT", "tu-eva02_tiny_patch14_224"),
        ("DPT", "tu-test_convnext"),
        ("Unet", "tu-swin_tiny_patch4_window7_224"),
        ("FPN", "mit_b0"),
        ("Unet", "tu-test_convnext"),
        ("Unet", "tu-test_efficientnet"),
        ("UneXt", "tu-swin_tiny_patch4_window7_224"),
        ("UneXt", "mit_b0"),
        ("UneXt", "tu-test_convnext"),
        ("UneXt", f"tu-{TIMM_ENCODER}"),
        ("UneXt", "tu-resnet18"),
        ("UneXt", "vgg11_bn"),
        ("UneXt", "densenet121"),
    ],
)
@pytest.mark.filterwarnings("ignore:Encoder does not have prefix tokens")
def test_encoders_of_every_kind_take_patches_of_any_size_on_the_raster(architecture: str, encoder: str) -> None:
    network = build_network(architecture, encoder, None, 3, 2).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 2, 64, 96)
    custom_models.check_network(network, 3, [(96, 96), (128, 160)])


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "tu-test_vit"),
        ("UneXt", "tu-test_vit"),
        ("UnetPlusPlus", "mit_b0"),
        ("Linknet", "mit_b0"),
        ("DPT", "mit_b0"),
    ],
)
def test_an_encoder_that_an_architecture_cannot_have_is_named_in_one_line(architecture: str, encoder: str) -> None:
    message = (
        f"ARCHITECTURE {architecture} cannot have MODEL.ENCODER_NAME '{encoder}': .*; plain vision transformers go"
    )
    with pytest.raises(ValueError, match=message) as error:
        build_network(architecture, encoder, None, 3, 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("architecture", "encoder", "side"), [("PAN", "resnet18", 64), ("DPT", "tu-beit_base_patch16_224", 256)]
)
def test_a_network_that_cannot_take_the_patches_is_refused(architecture: str, encoder: str, side: int) -> None:
    network = build_network(architecture, encoder, None, 3, 1)
    with pytest.raises(ValueError, match=rf"cannot take a patch of {side} x {side} pixels: .*; choose another encoder"):
        custom_models.check_network(network, 3, [(side, side), (128, 160)])


def test_timm_encoders_take_any_channels() -> None:
    model = build_network("FPN", f"tu-{TIMM_ENCODER}", None, 4, 3)
    assert forward(model, side=64, in_channels=4).shape == (1, 3, 64, 64)


def test_names_of_architectures_are_read_in_any_case() -> None:
    assert type(build_network("unetplusplus", "resnet18", "None", 3, 1)) is smp.UnetPlusPlus


def test_fixed_families_do_not_read_the_encoder_name() -> None:
    model = build_network("UneXt18", "resnext101_32x16d", "", 3, 1)
    assert sum(parameter.numel() for parameter in model.parameters()) < 20e6


def test_a_config_gives_a_channel_for_each_class() -> None:
    assert forward(build_model(config(IN_CHANNELS=1)), side=32, in_channels=1).shape == (1, 2, 32, 32)


def test_no_activation_of_a_config_reaches_the_network() -> None:
    plain, activated = (
        build_model(config(ARCHITECTURE="Unet", **more)) for more in ({"ACTIVATION": "None"}, {"ACTIVATION": "sigmoid"})
    )
    activated.load_state_dict(plain.state_dict())
    assert torch.equal(forward(plain, side=64), forward(activated, side=64))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"architecture": "UneXt102"}, r"MODEL.ARCHITECTURE is 'UneXt102'; choose one of \[.*'UneXt101'"),
        ({"architecture": "zzz"}, r"MODEL.ARCHITECTURE is 'zzz'; choose one of \[.*'UneXt'.*'Unet'"),
        ({"encoder_name": "resnet19"}, r"MODEL.ENCODER_NAME is 'resnet19'; choose one of \[.*'resnet18'"),
        ({"encoder_name": "zzz"}, r"MODEL.ENCODER_NAME is 'zzz'; no name is like it; an encoder is one of"),
        ({"encoder_name": TIMM_ENCODER}, rf"MODEL.ENCODER_NAME is '{TIMM_ENCODER}'; choose .*'tu-{TIMM_ENCODER}'"),
        ({"encoder_name": "tu-resnet18.foo"}, r"MODEL.ENCODER_NAME is 'tu-resnet18.foo'; choose one of"),
        ({"architecture": "UneXt", "encoder_name": "vgg17"}, r"MODEL.ENCODER_NAME is 'vgg17'; choose .*'vgg16'"),
        ({"encoder_weights": "imagnet"}, r"MODEL.ENCODER_WEIGHTS is 'imagnet'; .*'imagenet', 'ssl', 'swsl'"),
        ({"encoder_weights": "ssl", "encoder_name": f"tu-{TIMM_ENCODER}"}, r"ENCODER_WEIGHTS is 'ssl'; .*'imagenet'\]"),
        ({"encoder_weights": "nowhere/x.pth"}, r"nowhere/x.pth does not exist; set MODEL.ENCODER_WEIGHTS None, or"),
        ({"encoder_weights": "folder/x.bin"}, r"folder/x.bin is no weight file; .*'.safetensors', '.pth', '.pt'"),
    ],
)
def test_a_wrong_choice_names_near_ones(choice: dict[str, str], message: str) -> None:
    options = {"architecture": "Unet", "encoder_name": "resnet18", "encoder_weights": None} | choice
    with pytest.raises(ValueError, match=message) as error:
        build_network(**options, in_channels=3, classes=1)
    assert len(str(error.value)) < 500


def test_a_failed_download_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", fail)
    for architecture in ("UneXt18", "Unet"):
        with pytest.raises(RuntimeError, match=r"'ssl' of encoder 'resnet18'.*no route.*ENCODER_WEIGHTS None, or the"):
            build_network(architecture, "resnet18", "ssl", 3, 1)


def test_a_failed_download_of_timm_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, pretrained: bool = False, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", fail)
    with pytest.raises(RuntimeError, match=r"could not be downloaded.*MODEL.ENCODER_WEIGHTS None"):
        build_network("Unet", f"tu-{TIMM_ENCODER}", "imagenet", 3, 1)


def test_an_encoder_the_architecture_cannot_have_is_no_failed_download() -> None:
    with pytest.raises(ValueError, match="Encoder name must start with 'tu-'"):
        build_network("DPT", "resnet18", "imagenet", 3, 1)


def test_classes_of_a_network_for_slides_may_exclude_each_other() -> None:
    plain, softmax = (build_model(config(ACTIVATION=activation)) for activation in ("sigmoid", "softmax"))
    softmax.load_state_dict(plain.state_dict())
    logits = forward(plain, side=64)
    expected = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).softmax(1)[:, 1:]
    torch.testing.assert_close(forward(softmax, side=64).sigmoid(), expected)


# ------------------------------------------------------------------------------------------- parameter groups


@pytest.mark.parametrize(
    ("architecture", "name"), [("UneXt18", "resnet18"), ("UneXt", f"tu-{TIMM_ENCODER}"), ("Unet", "resnet18")]
)
def test_groups_are_the_encoder_and_all_the_rest(architecture: str, name: str) -> None:
    model = build_network(architecture, name, None, 3, 1)
    encoder, rest = parameter_groups(model)
    bare = smp.encoders.get_encoder(name, weights=None)
    assert [parameter.shape for parameter in encoder] == [parameter.shape for parameter in bare.parameters()]
    assert {id(p) for p in encoder} | {id(p) for p in rest} == {id(p) for p in model.parameters()}
    assert len(encoder) + len(rest) == len(list(model.parameters()))


def test_a_network_without_an_encoder_has_an_empty_first_group() -> None:
    assert [len(group) for group in parameter_groups(nn.Sequential(nn.Conv2d(1, 1, 1)))] == [0, 2]


# --------------------------------------------------------------------------------- local weights of the encoder


def wrapped_in_data_parallel(state: dict[str, Tensor]) -> dict[str, object]:
    return {"state_dict": {f"module.model.{key}": value for key, value in state.items()}, "epoch": 3}


@pytest.mark.parametrize("wrap", [dict, wrapped_in_data_parallel])
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("UneXt18", ""), ("UneXt", "tu-resnet18"), ("Unet", "resnet18"), ("FPN", "tu-resnet18")],
)
def test_a_classifiers_file_fills_the_encoder(tmp_path: Path, architecture: str, encoder: str, wrap) -> None:
    state = classifier_state()
    torch.save(wrap(state), tmp_path / "resnet18.pth")
    model = build_network(architecture, encoder, str(tmp_path / "resnet18.pth"), 3, 1)
    expected = [state[name] for name in state if not name.startswith("fc") and name.endswith(("weight", "bias"))]
    found, _ = parameter_groups(model)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_half_precision_weights_are_cast_and_running_statistics_come_along(tmp_path: Path) -> None:
    state = {key: value.half() if value.is_floating_point() else value for key, value in classifier_state().items()}
    state["bn1.running_mean"] = torch.full((64,), 0.25, dtype=torch.float16)
    save_file(state, tmp_path / "half.safetensors")
    model = build_network("UneXt18", "", str(tmp_path / "half.safetensors"), 3, 1)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.all(model.enc0[1].running_mean == 0.25)


def test_names_flattened_by_timm_match(tmp_path: Path) -> None:
    state = timm.create_model("test_convnext").state_dict()  # stages.0.blocks...; as features: stages_0.blocks...
    save_file(state, tmp_path / "weights.safetensors")
    model = build_network("FPN", "tu-test_convnext", str(tmp_path / "weights.safetensors"), 3, 1)
    found = model.encoder.state_dict()["model.stages_1.blocks.0.conv_dw.weight"]
    assert torch.equal(found, state["stages.1.blocks.0.conv_dw.weight"])


@pytest.mark.parametrize("in_channels", [1, 2, 5])
def test_the_first_convolution_is_adapted_as_smp_and_timm_do(tmp_path: Path, in_channels: int) -> None:
    state = classifier_state()
    save_file(state, tmp_path / "weights.safetensors")
    model = build_network("Unet", "resnet18", str(tmp_path / "weights.safetensors"), in_channels, 1)
    bare = smp.encoders.get_encoder("resnet18", weights=None)
    bare.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc")})
    bare.set_in_channels(in_channels, pretrained=True)
    torch.testing.assert_close(model.encoder.conv1.weight, bare.conv1.weight)


def features(model: nn.Module, images: Tensor) -> Tensor:
    """What a vision transformer without its last norm makes of images."""
    with torch.no_grad():
        return model.eval().forward_intermediates(images, indices=1, norm=False, intermediates_only=True)[0]


def test_a_vision_transformers_file_fills_the_encoder(tmp_path: Path) -> None:
    whole = timm.create_model("test_vit", num_classes=5)
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    model = build_network("DPT", "tu-test_vit", str(tmp_path / "vit.safetensors"), 3, 1)
    images = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(features(model.encoder.model, images), features(whole, images))


def test_layer_scale_that_the_encoder_lacks_goes_into_the_layers_before(tmp_path: Path) -> None:
    scaled = timm.create_model("test_vit", init_values=0.5, num_classes=0)
    nn.init.uniform_(scaled.blocks[1].ls1.gamma)
    nn.init.uniform_(scaled.blocks[1].ls2.gamma)
    save_file(scaled.state_dict(), tmp_path / "scaled.safetensors")
    model = build_network("DPT", "tu-test_vit", str(tmp_path / "scaled.safetensors"), 3, 1)
    images = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(features(model.encoder.model, images), features(scaled, images), rtol=1e-4, atol=1e-5)


def test_patches_and_positions_of_another_size_are_resampled_as_timm_does(tmp_path: Path) -> None:
    given = timm.create_model("test_vit", patch_size=14, img_size=168, num_classes=0)
    save_file(given.state_dict(), tmp_path / "other.safetensors")
    model = build_network("DPT", "tu-test_vit", str(tmp_path / "other.safetensors"), 3, 1)
    wanted = timm.create_model("test_vit", num_classes=0)
    fitted = timm.models.vision_transformer.checkpoint_filter_fn(given.state_dict(), wanted)
    for name in ("patch_embed.proj.weight", "pos_embed"):
        torch.testing.assert_close(model.encoder.model.state_dict()[name], fitted[name])


def test_a_vision_transformer_with_more_in_it_is_refused(tmp_path: Path) -> None:
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    save_file(state | {"reg_token": torch.zeros(1, 4, 64)}, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match=r"more.safetensors has 1 tensors that the encoder lacks \(reg_token\); MODEL"):
        build_network("DPT", "tu-test_vit", str(tmp_path / "more.safetensors"), 3, 1)


def test_a_file_of_another_encoder_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    save_file(classifier_state(), tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match=r"small.safetensors lacks \d+ of the encoder's 216 tensors.*layer1.2.conv1"):
        build_network("Unet", "resnet34", str(tmp_path / "small.safetensors"), 3, 1)


def test_a_refused_file_changes_nothing(tmp_path: Path) -> None:
    state = classifier_state()
    del state["layer4.1.bn2.bias"]
    save_file(state, tmp_path / "cut.safetensors")
    encoder = smp.encoders.get_encoder("resnet18", weights=None)
    before = encoder.conv1.weight.clone()
    with pytest.raises(ValueError, match=r"lacks 1 of .*\(layer4.1.bn2.bias\)"):
        load_encoder_weights(encoder, tmp_path / "cut.safetensors", 3)
    assert torch.equal(encoder.conv1.weight, before)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))]
)
def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save) -> None:
    monkeypatch.chdir(tmp_path)
    save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil.pth is no file of plain tensors, or damaged; save model"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is no file of plain tensors"):
        read_weights(tmp_path / name)


def test_a_file_without_tensors_is_named(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list.pt holds no state dict"):
        read_weights(tmp_path / "list.pt")


# ------------------------------------------------------------------------------------ state of a whole network


def make_state(classes: int = 1) -> tuple[nn.Module, dict[str, Tensor]]:
    model = build_network("UneXt18", "", None, 3, classes)
    return model, {key: value.clone() + 1 for key, value in model.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_prefixes_and_the_unused_convolution_are_ignored(prefix: str) -> None:
    model, state = make_state()
    seed = {f"{prefix}{key}": value for key, value in state.items()}
    seed[f"{prefix}aspp.conv1.weight"] = torch.zeros(512, 1536, 1, 1)
    load_state(model, seed, "seed.pth")
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_names_that_begin_like_a_prefix_stay() -> None:
    model = nn.ModuleDict({"model": nn.Conv2d(1, 1, 1)})
    load_state(model, {"model.weight": torch.ones(1, 1, 1, 1), "model.bias": torch.ones(1)}, "own.pth")
    assert model["model"].bias.item() == 1


def test_missing_unexpected_and_reshaped_keys_are_counted_and_named() -> None:
    model, state = make_state()
    del state["dec4.bn.weight"], state["dec4.bn.bias"]
    state["dec5.bn.weight"] = torch.zeros(3)
    state["dec1.conv1.0.bias"] = torch.zeros(3)
    expected = (
        r"old.pth does not fit the network: 2 missing \(dec4.bn.weight, dec4.bn.bias\); 1 unexpected "
        r"\(dec5.bn.weight\); 1 of another shape \(dec1.conv1.0.bias\)$"
    )
    with pytest.raises(ValueError, match=expected):
        load_state(model, state, "old.pth")


@pytest.mark.parametrize("architecture", ["UneXt18", "Unet"])
def test_another_number_of_classes_is_recognised(architecture: str) -> None:
    one, three = (build_network(architecture, "resnet18", None, 3, classes) for classes in (1, 3))
    with pytest.raises(ValueError, match=r"the file is for 3 classes, the network for 1: set DATASETS.CLASSES"):
        load_state(one, three.state_dict(), "three.pth")


def test_loading_leaves_the_callers_dictionary_alone() -> None:
    model, state = make_state()
    state = {f"module.{key}": value for key, value in state.items()}
    keys = list(state)
    load_state(model, state, "seed.pth")
    assert list(state) == keys


def test_weight_file_suffixes_are_those_the_messages_name() -> None:
    assert custom_models.WEIGHT_SUFFIXES == (".safetensors", ".pth", ".pt")
