import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from model.card import ModelCard
from model.checkpoints import load_card, load_checkpoint, save_checkpoint, update_card
from tests.cards import CARD

STATE = {
    "weight": torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last),
    "half": torch.ones(3, dtype=torch.float16),
    "count": torch.tensor(5),
    "view": torch.arange(10.0)[::2],
}


def test_tensors_and_card_come_back(tmp_path):
    save_checkpoint(tmp_path / "w.safetensors", STATE, CARD)
    state, card = load_checkpoint(tmp_path / "w.safetensors")
    assert card == CARD
    assert state.keys() == STATE.keys()
    for name, tensor in STATE.items():
        assert state[name].dtype == tensor.dtype
        assert torch.equal(state[name], tensor)


def test_a_card_of_little_is_as_good(tmp_path):
    little = ModelCard("UneXt", "resnet18", 1, ("a",), (0.0,), (1.0,), 0.0)
    save_checkpoint(tmp_path / "w.safetensors", STATE, little)
    assert load_card(tmp_path / "w.safetensors") == little
    assert little.threshold is None


def test_parameters_that_learn_are_saved_like_others(tmp_path):
    save_checkpoint(tmp_path / "w.safetensors", {"a": torch.nn.Parameter(torch.ones(2))}, CARD)
    assert not load_checkpoint(tmp_path / "w.safetensors")[0]["a"].requires_grad


def test_equal_content_gives_equal_bytes(tmp_path):
    files = set()
    for number in range(10):
        save_checkpoint(tmp_path / f"{number}.safetensors", STATE, CARD)
        files.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(files) == 1


def test_the_threshold_is_kept_with_the_weights_and_nothing_else_changes(tmp_path):
    save_checkpoint(tmp_path / "w.safetensors", STATE, replace(CARD, threshold=None))
    update_card(tmp_path / "w.safetensors", threshold=0.42)
    state, card = load_checkpoint(tmp_path / "w.safetensors")
    assert card == replace(CARD, threshold=0.42)
    assert all(torch.equal(state[name], tensor) for name, tensor in STATE.items())


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = tmp_path / "cut.safetensors"
    save_checkpoint(path, STATE, CARD)
    content = path.read_bytes()
    for length in (0, 4, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.safetensors"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {"card": "{"}, {"card": "[1]"}, {"card": '{"format": "other 3"}'}]
)
def test_a_foreign_file_is_refused_by_name(tmp_path, metadata):
    save_file({"a": torch.ones(2)}, tmp_path / "foreign.safetensors", metadata)
    with pytest.raises(ValueError, match=r"foreign\.safetensors"):
        load_checkpoint(tmp_path / "foreign.safetensors")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.safetensors"):
        load_card(tmp_path / "gone.safetensors")


class Marker:
    """A pickle that would make a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_under_our_ending_is_refused_and_nothing_in_it_runs(tmp_path):
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps({"a": Marker(tmp_path / "marker")}))
    with pytest.raises(ValueError, match=r"evil\.safetensors"):
        load_checkpoint(tmp_path / "evil.safetensors")
    assert not (tmp_path / "marker").exists()
