from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.patches.loader import PatchLoader
from data.patches.shares import SharedLoader
from tests.data.patches.test_loader import Numbers, places

sizes = st.integers(0, 30)
parts = st.integers(1, 4)
counts = st.integers(1, 4)


def shared(samples, batch, count, shuffle, workers=0):
    """Loaders of all processes."""
    return [SharedLoader(Numbers(samples), batch, rank, count, shuffle, workers) for rank in range(count)]


@given(sizes, parts, counts)
def test_in_training_each_batch_is_that_of_one_process_in_parts(samples, part, count):
    alone = places(PatchLoader(Numbers(samples), bs=part * count, shuffle=True, drop_last=True))
    loaders = shared(samples, part * count, count, shuffle=True)
    found = [places(loader) for loader in loaders]
    assert [list(chain(*batch)) for batch in zip(*found, strict=True)] == alone
    assert [len(loader) for loader in loaders] == [len(alone)] * count


@given(sizes, parts, counts)
def test_in_validation_each_batch_is_with_one_process(samples, batch, count):
    alone = places(PatchLoader(Numbers(samples), bs=batch))
    loaders = shared(samples, batch, count, shuffle=False)
    found = [places(loader) for loader in loaders]
    assert [alone[rank::count] for rank in range(count)] == found
    assert [len(loader) for loader in loaders] == [len(batches) for batches in found]


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_pass_begins_at_any_batch_with_any_number_of_workers(workers, shuffle):
    whole = [places(loader) for loader in shared(13, 4, 2, shuffle)]
    for loader, expected in zip(shared(13, 4, 2, shuffle, workers), whole, strict=True):
        assert places(loader) == expected
        if shuffle:
            loader.first_batch = 1
            assert places(loader) == expected[1:]


def test_a_process_knows_the_names_of_a_whole_batch():
    loaders = shared(10, 4, 2, shuffle=True)
    first = [places(loader)[1] for loader in loaders]
    assert loaders[0].names_of(1) == loaders[1].names_of(1) == [f"p{place}" for place in chain(*first)]
