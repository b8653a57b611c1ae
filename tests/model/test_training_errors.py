import numpy as np
import pytest
import torch

from model.training_errors import TrainingError, training_errors


def raised(error, batch_size=8):
    with pytest.raises(TrainingError) as caught, training_errors(batch_size):
        raise error
    assert caught.value.__cause__ is error
    return str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((2**40,), np.dtype("f8")),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_out_of_memory_says_which_batch_size_to_try(error):
    assert "out of memory with SOLVER.BATCH_SIZE 8; try SOLVER.BATCH_SIZE 4" in raised(error)


def test_torchs_own_lack_of_memory_is_known():
    with pytest.raises(TrainingError, match=r"try SOLVER\.BATCH_SIZE 3"), training_errors(6):
        torch.empty(2**60, dtype=torch.uint8)


def test_the_smallest_batch_leaves_smaller_patches():
    assert "try a smaller INPUT.SIZE_TRAIN" in raised(MemoryError(), 2)


def test_a_killed_process_that_loads_is_told_with_what_to_do():
    text = "DataLoader worker (pid 31) is killed by signal: Killed. \nmore"
    message = raised(RuntimeError(text))
    assert "(DataLoader worker (pid 31) is killed by signal: Killed.)" in message
    assert "try fewer SOLVER.NUM_WORKERS" in message


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("out of memory"), KeyError("k")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, training_errors(8):
        raise error
    assert caught.value is error
