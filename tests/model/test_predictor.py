import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from config import load_cfg
from model.card import ModelCard
from model.checkpoints import save_checkpoint
from model.custom_models import build_network
from model.predictor import (
    Member,
    Predictor,
    View,
    at_scale,
    build_predictor,
    load_members,
    refuse_mixture,
    tuned_cleaning,
    tuned_threshold,
    views,
    weight_files,
)
from model.torch_network import TorchNetwork

ROOT = Path(__file__).resolve().parents[2]
CARD = ModelCard("Unet", "resnet18", 3, ("a",), (0.0,) * 3, (1.0,) * 3, 4.0, threshold=0.4)


def first_channel(factor=1.0):
    """A network that gives a function of its first channel: equivariant to every flip and turn."""
    return lambda patches: ((factor * patches[:, :1] / 255) % 1).astype(np.float32)


def patches(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_one_network_and_one_view_give_what_the_network_says():
    found = Predictor([Member(first_channel(0.7), CARD)])(patches(2, 3, 8, 8))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, first_channel(0.7)(patches(2, 3, 8, 8)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0, 2.0])
def test_answers_that_are_no_probabilities_are_refused(wrong):
    def network(batch):
        found = first_channel()(batch)
        found[-1, 0, 3, 4] = wrong
        return found

    with pytest.raises(ValueError, match=r"^a\.onnx gives values from .* no probabilities"):
        Predictor([Member(network, CARD, "a.onnx")])(patches(2, 3, 8, 8))


def test_answers_for_other_classes_than_the_card_s_are_refused():
    with pytest.raises(ValueError, match=r"^a\.onnx gives \(2, 1, 8, 8\).*its card says \(2, 2, 8, 8\)"):
        Predictor([Member(first_channel(), replace(CARD, classes=("a", "b")), "a.onnx")])(patches(2, 3, 8, 8))


def test_an_ensemble_is_the_mean_of_probabilities():
    members = [Member(first_channel(0.9), CARD), Member(first_channel(0.2), replace(CARD, mean=(0.3, 0, 0)))]
    both = Predictor(members)(patches(2, 3, 8, 8))
    alone = [Predictor([member])(patches(2, 3, 8, 8)) for member in members]
    assert both.dtype == np.float32
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("tta", ["none", "flips", "dihedral"])
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 3, 8, 12), (1, 3, 4, 6, 8)])
def test_views_of_an_equivariant_network_change_nothing(tta, shape):
    plain = Predictor([Member(first_channel(), CARD)])(patches(*shape))
    found = Predictor([Member(first_channel(), CARD)], tta)(patches(*shape))
    np.testing.assert_allclose(found, plain, atol=1e-6)


@pytest.mark.parametrize(("kind", "axes", "count"), [("none", 2, 1), ("flips", 2, 4), ("dihedral", 2, 8),
                                                     ("none", 3, 1), ("flips", 3, 8), ("dihedral", 3, 16)])  # fmt: skip
def test_views_are_all_different_and_undone_exactly(kind, axes, count):
    image = np.arange(4**axes).reshape(1, 1, *(4,) * axes)
    seen = [view.apply(image) for view in views(kind, axes)]
    assert len({each.tobytes() for each in seen}) == count
    for view, each in zip(views(kind, axes), seen, strict=True):
        np.testing.assert_array_equal(view.undo(each), image)


def test_the_views_of_a_square_are_its_symmetries():
    image = np.arange(9).reshape(3, 3)
    wanted = {np.rot90(mirror, turns).tobytes() for mirror in (image, image.T) for turns in range(4)}
    assert {view.apply(image[None, None])[0, 0].tobytes() for view in views("dihedral", 2)} == wanted


def test_swapped_views_of_an_oblong_patch_are_undone():
    image = np.arange(12).reshape(1, 1, 3, 4)
    view = View((0,), swapped=True)
    assert view.apply(image).shape == (1, 1, 4, 3)
    np.testing.assert_array_equal(view.undo(view.apply(image)), image)


def test_every_view_is_shown_to_the_network_once_and_contiguous():
    seen = []

    def network(batch):
        assert batch.flags.c_contiguous
        seen.append(batch.tobytes())
        return np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)

    Predictor([Member(network, CARD)], "dihedral")(patches(1, 3, 8, 8))
    assert len(seen) == len(set(seen)) == 8


@pytest.mark.parametrize("shape", [(2, 3, 640, 320), (1, 1, 96, 64), (1, 2, 32, 64, 96)])
def test_a_patch_at_a_scale_has_the_nearest_sides_that_a_network_can_see(shape):
    for scale in (0.8, 1.0, 1.25, 0.3):
        seen = at_scale(np.full(shape, 200, np.uint8), scale, (32,) * (len(shape) - 2))
        assert seen.dtype == np.uint8
        assert (seen == 200).all()
        for side, full in zip(seen.shape[2:], shape[2:], strict=True):
            assert side % 32 == 0
            assert side == 32 or abs(side - full * scale) <= 16


@pytest.mark.parametrize("tta", ["none", "dihedral"])
def test_scales_of_a_network_that_looks_at_pixels_alone_change_little_of_a_smooth_image(tta):
    rows, columns = np.mgrid[:96, :160]
    smooth = np.rint(127 + 100 * np.sin(rows / 25) * np.cos(columns / 30)).astype(np.uint8)[None, None]
    found = Predictor([Member(first_channel(), CARD)], tta, [1.0, 0.8, 1.25])(smooth)
    assert found.dtype == np.float32
    assert found.shape == smooth.shape
    np.testing.assert_allclose(found, smooth / 255, atol=0.012)


def test_every_member_sees_each_scale_once_and_the_mean_is_of_all():
    sides = []

    def network(batch):
        sides.append(batch.shape[2:])
        return np.full((len(batch), 1, *batch.shape[2:]), batch.shape[-1] / 1000, np.float32)

    found = Predictor([Member(network, CARD)] * 2, "none", [1.0, 0.5, 2.0])(patches(1, 3, 64, 64))
    assert sorted(sides) == sorted([(64, 64), (32, 32), (128, 128)] * 2)
    np.testing.assert_allclose(found, (64 + 32 + 128) / 3000, atol=1e-6)


def test_one_scale_of_1_is_the_patch_itself_to_the_bit():
    plain = Predictor([Member(first_channel(0.7), CARD)], "flips")(patches(2, 3, 8, 8))
    found = build_predictor(load_cfg(options=["TEST.TTA", "flips"]), [Member(first_channel(0.7), CARD)])
    assert found(patches(2, 3, 8, 8)).tobytes() == plain.tobytes()


def test_averaging_views_averages_what_the_network_says_of_each():
    def corner(batch):
        probabilities = np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)
        probabilities[..., 0, 0] = 1
        return probabilities

    found = Predictor([Member(corner, CARD)], "flips")(patches(1, 3, 4, 4))[0, 0]
    corners = found[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, 0.25, atol=1e-6)
    assert found.sum() == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("Unet", "resnet18", None, 3, 1)


@pytest.fixture(scope="module")
def state(network):
    return network.state_dict()


def config(*options):
    names = ["MODEL.ARCHITECTURE", "Unet", "MODEL.ENCODER_NAME", "resnet18"]
    return load_cfg(options=[*names, *options])


def test_a_saved_network_predicts_as_before(tmp_path, network, state):
    save_checkpoint(tmp_path / "fold0.safetensors", state, CARD)
    (member,) = load_members(load_cfg(), tmp_path)  # the card says which network, not the config
    assert member.card == CARD
    wanted = TorchNetwork(network, CARD)(patches(1, 3, 32, 32))
    np.testing.assert_allclose(Predictor([member])(patches(1, 3, 32, 32)), wanted, atol=1e-6)


def test_plain_state_dicts_load_with_the_config_as_their_card(tmp_path, network, state):
    torch.save(state, tmp_path / "fold0.pth")
    cfg = config("INPUT.MEAN", "[0.0, 0.0, 0.0]", "INPUT.STD", "[1.0, 1.0, 1.0]", "TILES.REDUCTION", "3")
    (member,) = load_members(cfg, tmp_path)
    assert (member.card.reduction, member.card.threshold) == (3.0, None)
    wanted = TorchNetwork(network, CARD)(patches(1, 3, 32, 32))
    np.testing.assert_allclose(Predictor([member])(patches(1, 3, 32, 32)), wanted, atol=1e-6)


def test_a_state_dict_without_normalisation_says_which_options_to_set(tmp_path, state):
    torch.save(state, tmp_path / "fold0.pth")
    with pytest.raises(ValueError, match=r"fold0\.pth.*INPUT\.MEAN and INPUT\.STD"):
        load_members(config(), tmp_path)


class Marker:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def save_pickle(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, save_pickle])
def test_a_pickle_is_refused_and_nothing_in_it_runs(tmp_path, save):
    save({"weight": torch.ones(2), "evil": Marker(tmp_path / "marker")}, tmp_path / "fold0.pth")
    with pytest.raises(ValueError, match=r"fold0\.pth"):
        load_members(config("INPUT.MEAN", "[0, 0, 0]", "INPUT.STD", "[1, 1, 1]"), tmp_path)
    assert not (tmp_path / "marker").exists()


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    save_checkpoint(tmp_path / "fold0.safetensors", {"other": torch.ones(2)}, CARD)
    with pytest.raises(ValueError, match=r"fold0\.safetensors does not fit"):
        load_members(load_cfg(), tmp_path)


def test_foreign_safetensors_in_the_folder_are_refused(tmp_path, state):
    save_checkpoint(tmp_path / "fold0.safetensors", state, CARD)
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors"):
        load_members(load_cfg(), tmp_path)


def test_an_empty_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "README.md").write_text("not weights")
    with pytest.raises(ValueError, match=f"{tmp_path.name} holds no"):
        load_members(load_cfg(), tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("classes", ("b",)), ("classes", ("a", "b")), ("reduction", 8.0), ("spacing_um", 1.0), ("in_channels", 1)],
)
def test_a_mixture_is_refused_naming_what_differs(name, value):
    with pytest.raises(ValueError, match=rf"one\.pth has {name} .* and two\.pth .*cannot be averaged"):
        refuse_mixture(Path("in/one.pth"), CARD, Path("in/two.pth"), replace(CARD, **{name: value}))


def test_networks_and_normalisations_may_differ():
    other = replace(CARD, architecture="FPN", mean=(1.0,) * 3, threshold=0.9, fold=3, epoch=4)
    refuse_mixture(Path("one"), CARD, Path("two"), other)


def test_a_mixture_in_a_folder_is_refused(tmp_path, state):
    save_checkpoint(tmp_path / "fold0.safetensors", state, CARD)
    save_checkpoint(tmp_path / "fold1.safetensors", state, replace(CARD, reduction=2.0))
    with pytest.raises(ValueError, match=r"fold0\.safetensors has reduction 4\.0 and fold1\.safetensors 2\.0"):
        load_members(load_cfg(), tmp_path)


def test_the_tuned_threshold_is_the_mean_and_must_be_known_of_all():
    members = [Member(first_channel(), replace(CARD, threshold=value)) for value in (0.4, 0.5)]
    assert tuned_threshold(members) == pytest.approx(0.45)
    with pytest.raises(ValueError, match=r"TEST\.TH"):
        tuned_threshold([*members, Member(first_channel(), replace(CARD, threshold=None))])


def test_an_engine_reads_its_own_kind_of_files(tmp_path):
    for name in ("b.onnx", "a.onnx", "a.safetensors", "README.md"):
        (tmp_path / name).touch()
    assert [path.name for path in weight_files(tmp_path, "torch")] == ["a.safetensors"]
    assert [path.name for path in weight_files(tmp_path, "bf16")] == ["a.safetensors"]
    assert [path.name for path in weight_files(tmp_path, "onnx")] == ["a.onnx", "b.onnx"]
    assert [path.name for path in weight_files(tmp_path, "openvino")] == ["a.onnx", "b.onnx"]


def test_auto_takes_the_one_kind_that_is_there(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "a.onnx").touch()
    (tmp_path / "a.pth").touch()
    assert [path.name for path in weight_files(tmp_path, "auto")] == ["a.pth"]
    assert [path.name for path in weight_files(tmp_path / "onnx", "auto")] == ["a.onnx"]


def test_auto_refuses_two_kinds_and_says_which_option_chooses(tmp_path):
    (tmp_path / "a.onnx").touch()
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(ValueError, match=r"torch's files and \.onnx files; set TEST\.ENGINE"):
        load_members(load_cfg(), tmp_path)


def test_an_engine_without_its_files_says_how_to_make_them(tmp_path):
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(ValueError, match=r"holds no \.onnx file; export_net\.py makes them"):
        load_members(load_cfg(options=["TEST.ENGINE", "onnx"]), tmp_path)


def test_the_predictor_needs_no_torch():
    code = "import sys, model.predictor, model.onnx; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_thresholds_of_classes_and_sizes_are_means_over_the_weights():
    plain = replace(CARD, classes=("a", "b"))
    tuned = replace(plain, threshold=0.5, thresholds=(0.3, 0.7), low=0.2, min_object_px=31, max_hole_px=10)
    both = [Member(first_channel(), card) for card in (plain, tuned)]
    assert tuned_threshold(both) == pytest.approx((0.35, 0.55))
    assert tuned_threshold(both[1:]) == pytest.approx((0.3, 0.7))
    assert tuned_cleaning(both) == pytest.approx({"low": 0.3, "min_object_px": 16, "max_hole_px": 5})
    assert tuned_cleaning(both[:1]) == {"low": 0, "min_object_px": 0, "max_hole_px": 0}
