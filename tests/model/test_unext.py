import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from model.unext import UneXt, WeightNormConv, context_width

ENCODER_PLACES = {"enc0.0": "conv1", "enc0.1": "bn1", "enc1.1": "layer1"} | {f"enc{i}": f"layer{i}" for i in (2, 3, 4)}


def make_unext(encoder: str = "resnet18", in_channels: int = 3, **options) -> UneXt:
    return UneXt(smp.encoders.get_encoder(encoder, in_channels, weights=None), **options)


def encoder_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors under torchvision's names."""
    return {
        key.replace(ours, theirs, 1): value
        for key, value in state.items()
        for ours, theirs in ENCODER_PLACES.items()
        if key.startswith(f"{ours}.")
    }


def norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in names} | {f"{name}.num_batches_tracked": ()}


def table_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of UneXt101 without its encoder, line by line from the table of its figures."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, kernel in enumerate([(2048, 1, 1), *[(2048 // 4, 3, 3)] * 4]):
        shapes |= {f"aspp.aspps.{i}.atrous_conv.weight": (256, *kernel)} | norm_shapes(f"aspp.aspps.{i}.bn", 256)
    shapes |= {"aspp.global_pool.1.weight": (256, 2048, 1, 1)} | norm_shapes("aspp.global_pool.2", 256)
    shapes |= {"aspp.out_conv.0.weight": (512, 6 * 256, 1, 1)} | norm_shapes("aspp.out_conv.1", 512)
    for name, (up, skip, out) in {
        "dec4": (512, 1024, 256),
        "dec3": (256, 512, 128),
        "dec2": (128, 256, 64),
        "dec1": (64, 64, 32),
    }.items():
        shapes |= {f"{name}.shuf.0.0.weight_g": (2 * up, 1, 1, 1), f"{name}.shuf.0.0.weight_v": (2 * up, up, 1, 1)}
        shapes |= {f"{name}.shuf.0.0.bias": (2 * up,)} | norm_shapes(f"{name}.bn", skip)
        shapes |= {f"{name}.conv1.0.weight": (out, up // 2 + skip, 3, 3), f"{name}.conv1.0.bias": (out,)}
        shapes |= {f"{name}.conv2.0.weight": (out, out, 3, 3), f"{name}.conv2.0.bias": (out,)}
    for i, channels in enumerate((512, 256, 128, 64)):
        name = f"fpn.convs.{i}"
        shapes |= {f"{name}.0.weight": (32, channels, 3, 3), f"{name}.0.bias": (32,)} | norm_shapes(f"{name}.2", 32)
        shapes |= {f"{name}.3.weight": (16, 32, 3, 3), f"{name}.3.bias": (16,)}
    return shapes | {"final_conv.0.weight": (classes, 4 * 16 + 32, 1, 1), "final_conv.0.bias": (classes,)}


class Reference:
    """The forward pass of the table, by functions of a state dict alone."""

    def __init__(self, state: dict[str, Tensor]):
        self.state = state

    def conv(self, name: str, x: Tensor, **options) -> Tensor:
        return F.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **options)

    def norm(self, name: str, x: Tensor) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{name}.{part}"] for part in names), eps=1e-5)

    def encode(self, x: Tensor) -> list[Tensor]:
        resnet = ResNet(BasicBlock, [2, 2, 2, 2]).double().eval()
        resnet.load_state_dict(encoder_part(self.state) | {k: v for k, v in resnet.state_dict().items() if "fc" in k})
        features = [resnet.relu(resnet.bn1(resnet.conv1(x)))]
        features.append(resnet.layer1(F.max_pool2d(features[0], 3, 2, 1)))
        for layer in (resnet.layer2, resnet.layer3, resnet.layer4):
            features.append(layer(features[-1]))
        return features

    def context(self, x: Tensor) -> Tensor:
        whole = self.conv("aspp.global_pool.1", x.amax((2, 3), keepdim=True))
        whole = self.norm("aspp.global_pool.2", whole).relu()
        branches = [F.interpolate(whole, x.shape[2:], mode="bilinear", align_corners=True)]
        for i in range(5):
            options = {"padding": i, "dilation": i, "groups": 4} if i else {}
            branch = self.conv(f"aspp.aspps.{i}.atrous_conv", x, **options)
            branches.append(self.norm(f"aspp.aspps.{i}.bn", branch).relu())
        return self.norm("aspp.out_conv.1", self.conv("aspp.out_conv.0", torch.cat(branches, 1))).relu()

    def decode(self, name: str, up: Tensor, skip: Tensor) -> Tensor:
        g, v, bias = (self.state[f"{name}.shuf.0.0.{part}"] for part in ("weight_g", "weight_v", "bias"))
        weight = torch.stack(
            [length * kernel / kernel.square().sum().sqrt() for length, kernel in zip(g, v, strict=True)]
        )
        shuffled = F.pixel_shuffle(F.conv2d(up, weight, bias).relu(), 2)
        x = torch.cat([shuffled, self.norm(f"{name}.bn", skip)], 1).relu()
        x = self.conv(f"{name}.conv1.0", x, padding=1).relu()
        return self.conv(f"{name}.conv2.0", x, padding=1).relu()

    def level(self, i: int, x: Tensor) -> Tensor:
        hidden = self.norm(f"fpn.convs.{i}.2", self.conv(f"fpn.convs.{i}.0", x, padding=1).relu())
        out = self.conv(f"fpn.convs.{i}.3", hidden, padding=1)
        return F.interpolate(out, scale_factor=(16, 8, 4, 2)[i], mode="bilinear", align_corners=False)

    def __call__(self, x: Tensor) -> Tensor:
        enc0, enc1, enc2, enc3, enc4 = self.encode(x)
        deep = [self.context(enc4)]
        for name, skip in (("dec4", enc3), ("dec3", enc2), ("dec2", enc1)):
            deep.append(self.decode(name, deep[-1], skip))
        levels = [self.level(i, feature) for i, feature in enumerate(deep)]
        logits = self.conv("final_conv.0", torch.cat([*levels, self.decode("dec1", deep[-1], enc0)], 1))
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def random_state(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor at random, running variances positive: nothing keeps a value by which a mistake would go unseen."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        fan_in = max(1, value[0].numel()) if value.ndim > 1 and not key.endswith("weight_g") else 1
        state[key] = noise.abs() + 0.5 if value.ndim == 1 or key.endswith("weight_g") else noise / fan_in**0.5
    return state


def test_unext101_has_the_names_and_shapes_of_the_table() -> None:
    with torch.device("meta"):
        model = make_unext("resnext101_32x16d", classes=3)
        resnext = ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=16)
    found = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert {k: v for k, v in found.items() if not k.startswith("enc")} == table_shapes(classes=3)
    encoder = {key: tuple(value.shape) for key, value in resnext.state_dict().items() if not key.startswith("fc")}
    assert encoder_part(found) == encoder
    assert "enc1.1.0.conv1.weight" in found


def test_unext50_has_the_widths_of_unext101() -> None:
    with torch.device("meta"):
        model = make_unext("resnext50_32x4d")
    found = {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.startswith("enc")}
    assert found == table_shapes(classes=1)


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_published_names_give_the_output_of_the_table(size: tuple[int, int]) -> None:
    model = make_unext(classes=2).double().eval()
    state = random_state(model)
    model.load_state_dict(state)
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = model(x), Reference(state)(x)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected)


def test_the_model_keeps_each_parameter_under_one_name() -> None:
    model = make_unext()
    names = {id(parameter): name for name, parameter in model.named_parameters(remove_duplicate=False)}
    assert len(names) == len(list(model.named_parameters(remove_duplicate=False)))
    assert {name.split(".")[0] for name in names.values()} == {
        *(f"enc{i}" for i in range(5)),
        *(f"dec{i}" for i in range(1, 5)),
        "aspp",
        "fpn",
        "final_conv",
    }


@pytest.mark.parametrize(("encoder", "in_channels", "classes"), [("resnet18", 1, 4), ("resnet34", 5, 1)])
def test_any_channels_in_and_classes_out(encoder: str, in_channels: int, classes: int) -> None:
    model = make_unext(encoder, in_channels, classes=classes).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, in_channels, 32, 96)).shape == (2, classes, 32, 96)


def test_every_parameter_gets_a_gradient() -> None:
    model = make_unext()
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


class Rings(nn.Module):
    """Five features, each a number everywhere, or none at half the size."""

    def __init__(self, stem: int):
        super().__init__()
        self.out_channels = [3, stem, 4, 4, 8, 16]

    def forward(self, x: Tensor) -> list[Tensor]:
        sizes = [[side >> i for side in x.shape[2:]] for i in range(1, 6)]
        counts = zip(self.out_channels[1:], sizes, strict=True)
        return [x, *(torch.full((len(x), count, *size), float(i)) for i, (count, size) in enumerate(counts))]


@pytest.mark.parametrize("stem", [0, 5])
def test_another_encoder_is_a_child_of_its_own_whose_five_features_reach_the_decoder(stem: int) -> None:
    encoder = Rings(stem)
    model = UneXt(encoder).train()
    assert model.encoder is encoder
    assert not any(hasattr(model, f"enc{i}") for i in range(5))
    seen: dict[str, Tensor] = {}
    for name in ("dec4", "dec3", "dec2", "dec1"):
        model.get_submodule(name).register_forward_hook(lambda _, inputs, __, name=name: seen.update({name: inputs[1]}))
    assert model(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 64, 96)
    assert [tuple(skip.shape[1:]) for skip in seen.values()] == [(8, 4, 6), (4, 8, 12), (4, 16, 24), (stem, 32, 48)]
    assert [skip.unique().tolist() for skip in seen.values()] == [[3], [2], [1], [0] * bool(stem)]


def test_width_follows_the_deepest_channels_up_to_that_of_unext101() -> None:
    assert [context_width(channels) for channels in (2048, 1024, 512, 16)] == [256, 256, 128, 8]


def test_a_given_width_is_taken() -> None:
    model = make_unext(width=32)
    assert model.aspp.out_conv[0].out_channels == 64
    assert [model.get_submodule(f"dec{i}").conv2[0].out_channels for i in (4, 3, 2, 1)] == [32, 16, 8, 4]


def test_shuffled_output_starts_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    shuffled = F.pixel_shuffle(WeightNormConv(8, 16)(torch.randn(1, 8, 3, 3)), 2)
    blocks = shuffled.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # (1, 4, 3, 3, 4)
    torch.testing.assert_close(blocks, blocks[..., :1].expand_as(blocks))
    assert blocks[0, :, 0, 0, 0].std() > 0


def test_weight_norm_takes_the_length_from_g_alone() -> None:
    conv = WeightNormConv(2, 4)
    directions = torch.tensor([3.0, 4]).expand(4, 2)[..., None, None]
    lengths = torch.full((4, 1, 1, 1), 10.0)
    conv.load_state_dict({"weight_g": lengths, "weight_v": directions, "bias": torch.ones(4)})
    x = torch.tensor([1.0, 1]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(conv(x).flatten(), torch.full((4,), 10 * (0.6 + 0.8) + 1))


def test_sides_that_do_not_fit_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"input is \(1, 3, 64, 50\); UneXt wants sides that are multiples of 32"):
        make_unext()(torch.zeros(1, 3, 64, 50))
