import logging
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from model.training_state import ENTRY, FORMAT, StateError, has_state, load_state, previous, remove_state, save_state

STATE = {
    "weights": {"a.b": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7)},
    "half": torch.ones(2, dtype=torch.bfloat16),
    "flags": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "rows": [[1, 0.1, None], [2, float("inf"), "text"]],
    "nested": [{"step": 3, "moment": torch.full((2,), 1 / 3)}, {}],
}


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(each, other[name]) for name, each in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "fold0.safetensors"


def test_loading_gives_what_was_saved(path):
    save_state(path, STATE)
    assert same(load_state(path), STATE)


def test_numbers_of_numpy_and_any_layout_in_memory_come_back_as_they_were(path):
    import numpy as np

    image = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    save_state(path, {"lr": np.float64(0.1), "step": np.int64(3), "image": image, "pair": (1, 2)})
    back = load_state(path)
    assert (back["lr"], back["step"], back["pair"]) == (0.1, 3, [1, 2])
    assert torch.equal(back["image"], image)


def test_the_state_before_is_kept_and_only_that(path):
    for number in range(3):
        save_state(path, {"number": number})
    assert load_state(path)["number"] == 2
    assert sorted(each.name for each in path.parent.iterdir()) == ["fold0.safetensors", "fold0_previous.safetensors"]
    os.remove(path)
    assert has_state(path)
    assert load_state(path)["number"] == 1
    remove_state(path)
    assert not has_state(path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(path, damage, caplog):
    for number in range(2):
        save_state(path, {"number": number, "weights": torch.rand(100)})
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert load_state(path)["number"] == 0
    assert f"{path} is damaged" in caplog.text
    assert "going on from the checkpoint before it" in caplog.text


def test_two_damaged_states_are_an_error_that_names_both(path):
    for number in range(2):
        save_state(path, {"number": number, "weights": torch.rand(100)})
    cut(path)
    cut(previous(path))
    with pytest.raises(StateError, match=r"fold0\.safetensors is damaged.*fold0_previous\.safetensors is damaged"):
        load_state(path)


def test_a_state_that_cannot_be_written_leaves_the_others(path, monkeypatch):
    for number in range(2):
        save_state(path, {"number": number})

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr("model.training_state.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        save_state(path, {"number": 2})
    assert load_state(path)["number"] == 1
    assert len(list(path.parent.iterdir())) == 2


class Bomb:
    """An object that would make a file on being unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("write", [lambda bomb, path: path.write_bytes(pickle.dumps(bomb)), torch.save])
def test_nothing_in_a_file_is_executed(path, tmp_path, write):
    path.parent.mkdir()
    write(Bomb(tmp_path / "bang"), path)
    with pytest.raises(StateError, match="is damaged"):
        load_state(path)
    assert not (tmp_path / "bang").exists()


def test_another_kind_of_file_is_refused(path):
    path.parent.mkdir()
    save_file({"a": torch.zeros(1)}, path, {ENTRY: '{"format": "other"}'})
    with pytest.raises(StateError, match=f"has format 'other'; this program reads '{FORMAT}'"):
        load_state(path)
