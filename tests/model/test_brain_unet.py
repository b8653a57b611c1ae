from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from model.brain_unet import BrainUnet
from model.checkpoints import load_checkpoint, save_checkpoint
from model.custom_models import build_network, check_network, load_state, parameter_groups
from tests.cards import CARD

LEVELS = {1: (3, 32), 2: (32, 64), 3: (64, 128), 4: (128, 256)}


def published():
    """Names and shapes of the weights as they were published."""
    shapes = {}

    def block(place, name, before, width):
        for number, channels in ((1, before), (2, width)):
            shapes[f"{place}.{name}conv{number}.weight"] = (width, channels, 3, 3)
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{place}.{name}norm{number}.{part}"] = (width,)
            shapes[f"{place}.{name}norm{number}.num_batches_tracked"] = ()

    for level, (before, width) in LEVELS.items():
        block(f"encoder{level}", f"enc{level}", before, width)
        shapes[f"upconv{level}.weight"], shapes[f"upconv{level}.bias"] = (2 * width, width, 2, 2), (width,)
        block(f"decoder{level}", f"dec{level}", 2 * width, width)
    block("bottleneck", "bottleneck", 256, 512)
    return shapes | {"conv.weight": (1, 32, 1, 1), "conv.bias": (1,)}


def random_state(seed=0):
    """Weights of those names and shapes that keep activations near 1."""
    chance = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in published().items():
        values = torch.randn(shape, generator=chance)
        fan = max(1, values[0].numel()) if values.ndim == 4 else 1
        state[name] = torch.tensor(3) if not shape else values / fan**0.5
        if "norm" in name and name.endswith(("weight", "running_var")):
            state[name] = 0.5 + values.abs()
    return state


def by_hand(state, images):
    """The network's output from functions alone."""

    def block(values, place, name):
        for number in (1, 2):
            values = F.conv2d(values, state[f"{place}.{name}conv{number}.weight"], padding=1)
            parts = (state[f"{place}.{name}norm{number}.{each}"] for each in ("running_mean", "running_var", "weight"))
            values = F.relu(F.batch_norm(values, *parts, state[f"{place}.{name}norm{number}.bias"], False, 0.1, 1e-5))
        return values

    one = block(images, "encoder1", "enc1")
    two = block(F.max_pool2d(one, 2), "encoder2", "enc2")
    three = block(F.max_pool2d(two, 2), "encoder3", "enc3")
    four = block(F.max_pool2d(three, 2), "encoder4", "enc4")
    values = block(F.max_pool2d(four, 2), "bottleneck", "bottleneck")
    for level, beside in ((4, four), (3, three), (2, two), (1, one)):
        values = F.conv_transpose2d(values, state[f"upconv{level}.weight"], state[f"upconv{level}.bias"], stride=2)
        values = block(torch.cat((values, beside), 1), f"decoder{level}", f"dec{level}")
    return F.conv2d(values, state["conv.weight"], state["conv.bias"])


def test_published_weights_fit_by_names_and_shapes():
    own = {name: tuple(value.shape) for name, value in BrainUnet(3, 1).state_dict().items()}
    assert own == published()
    assert sum(each.numel() for each in BrainUnet(3, 1).parameters()) == 7_763_041


def test_the_output_is_that_of_the_published_layers(tmp_path):
    state = random_state()
    torch.save(state, tmp_path / "unet.pt")
    network = build_network("brainunet", "none", str(tmp_path / "unet.pt"), 3, 1).eval()
    images = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(images), by_hand(state, images), rtol=1e-4, atol=1e-5)


def test_other_channels_and_classes_are_possible_and_a_checkpoint_brings_the_network_back(tmp_path):
    network = BrainUnet(1, 4)
    save_checkpoint(tmp_path / "fold0.safetensors", network.state_dict(), replace(CARD, architecture="BrainUnet"))
    state, card = load_checkpoint(tmp_path / "fold0.safetensors")
    other = build_network(card.architecture, "none", None, 1, 4)
    load_state(other, state, "fold0")
    images = torch.zeros(1, 1, 16, 16)
    assert other.eval()(images).shape == (1, 4, 16, 16)
    torch.testing.assert_close(other(images), network.eval()(images))


def test_all_of_it_learns_at_one_rate_and_takes_patches_of_prediction():
    network = BrainUnet(3, 1)
    encoder, rest = parameter_groups(network)
    assert encoder == []
    assert len(rest) == len(list(network.parameters()))
    check_network(network, 3, [(32, 32), (128, 160)])


def test_it_has_no_weights_of_a_name():
    with pytest.raises(ValueError, match=r"MODEL\.ENCODER_WEIGHTS is 'imagenet'; BrainUnet has no weights of a name"):
        build_network("BrainUnet", "none", "imagenet", 3, 1)
