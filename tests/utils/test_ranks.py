import logging

import pytest

from utils import ranks as module
from utils.ranks import agree, check_ranks, is_writer, own_rank, rank_count, ranks, sum_over_ranks


@pytest.fixture
def two(monkeypatch):
    """The environment of the second of two processes."""
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def no_group(monkeypatch):
    """Joining the processes does nothing."""
    from torch import distributed

    monkeypatch.setattr(distributed, "init_process_group", lambda *args, **options: None)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)


def test_a_process_alone_writes_and_needs_no_other(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (own_rank(), rank_count(), is_writer()) == (0, 1, True)
    check_ranks(batch_size=3, find_lr=True)
    with ranks():
        assert agree("a") == "a"
        assert sum_over_ranks([1.5, 2]) == [1.5, 2]


def test_a_process_of_several_knows_its_place(two):
    assert (own_rank(), rank_count(), is_writer()) == (1, 2, False)


def test_what_several_processes_cannot_share_is_named(two, monkeypatch):
    check_ranks(batch_size=4, find_lr=False)
    with pytest.raises(ValueError, match=r"SOLVER.BATCH_SIZE is 5; 2 processes need a multiple of 2"):
        check_ranks(batch_size=5, find_lr=False)
    with pytest.raises(ValueError, match=r"SOLVER.FIND_LR takes one process, not 2"):
        check_ranks(batch_size=4, find_lr=True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(ValueError, match="process 1 of this machine finds 1 GPUs"):
        check_ranks(batch_size=4, find_lr=False)


def test_only_the_writer_logs_but_for_what_ends_another(two, no_group, caplog):
    with ranks():
        logging.getLogger(module.__name__).error("a bad case, which the writer logs too")
        logging.getLogger(module.__name__).critical("the end")
    logging.getLogger(module.__name__).warning("afterwards")
    assert caplog.messages == ["the end", "afterwards"]


@pytest.mark.parametrize("text", ["[gloo/transport/tcp/pair.cc:538] Connection closed by peer", "NCCL communicator"])
def test_the_end_of_another_process_is_told_as_such(two, no_group, text):
    with pytest.raises(OSError, match="another process of the training has ended"), ranks():
        raise RuntimeError(text)


def test_any_other_error_stays_what_it_is(two, no_group):
    with pytest.raises(RuntimeError, match="mat1 and mat2"), ranks():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
