import random

import numpy as np
import pytest
import torch

from utils.seed import chance_as_before, seed_everything


@pytest.fixture(autouse=True)
def give_states_back():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    flags = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = flags


def draw():
    return random.random(), float(np.random.random()), float(torch.rand(1))


def test_one_seed_repeats_every_source_of_chance():
    seed_everything(5)
    first = draw()
    seed_everything(5)
    assert draw() == first


def test_another_seed_changes_every_source_of_chance():
    seed_everything(5)
    first = draw()
    seed_everything(6)
    assert all(a != b for a, b in zip(first, draw(), strict=True))


def test_chance_goes_on_as_if_nothing_had_been_drawn():
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with chance_as_before():
        draw()
    assert draw() == expected


def test_chance_goes_on_after_an_error_too():
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with pytest.raises(ZeroDivisionError), chance_as_before():
        1 / (draw() is None)
    assert draw() == expected
