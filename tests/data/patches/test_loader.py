from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data.patches.loader import PatchLoader


class Numbers:
    """Samples that are their own places."""

    sampling = None

    def __init__(self, count=10, seed=1):
        self.samples = [SimpleNamespace(name=f"p{number}") for number in range(count)]
        self.seed, self.epoch = seed, 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, place):
        return torch.tensor(place), torch.tensor(self.epoch)


def places(loader):
    return [batch[0].tolist() for batch in loader]


def test_the_order_depends_on_seed_and_epoch_alone():
    loader, other = (PatchLoader(Numbers(), bs=3, shuffle=True) for _ in range(2))
    first = places(loader)
    assert sorted(place for batch in first for place in batch) == list(range(10))
    assert first == places(loader) == places(other)
    loader.dataset.epoch = 1
    second = places(loader)
    assert second != first
    other.dataset.seed, other.dataset.epoch = 2, 1
    assert places(other) not in (first, second)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_pass_from_a_batch_on_is_the_rest_of_the_whole_pass(workers, shuffle):
    loader = PatchLoader(Numbers(), bs=3, shuffle=shuffle, drop_last=True, num_workers=workers)
    whole = places(PatchLoader(Numbers(), bs=3, shuffle=shuffle, drop_last=True))
    for first in (0, 1, 3):
        loader.first_batch = first
        assert places(loader) == whole[first:]
        assert len(loader) == 3


def test_an_unshuffled_pass_is_in_order():
    assert places(PatchLoader(Numbers(5), bs=2)) == [[0, 1], [2, 3], [4]]


def test_a_batch_can_tell_the_names_of_its_samples():
    loader = PatchLoader(Numbers(), bs=3, shuffle=True)
    loader.first_batch = 1
    for number, batch in enumerate(places(loader), start=1):
        assert loader.names_of(number) == [f"p{place}" for place in batch]


def test_places_are_drawn_evenly():
    loader = PatchLoader(Numbers(4), bs=1, shuffle=True)
    counts = np.zeros((4, 4), int)
    for epoch in range(200):
        loader.dataset.epoch = epoch
        counts[np.arange(4), loader.get_idxs()] += 1
    assert counts.min() > 25  # of 50
