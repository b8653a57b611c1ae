import resource

import numpy as np
import pytest

from config.run import _give_memory_back
from utils.memory import kept_memory

BYTES = 2**26


def faults_of(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(BYTES, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_blocks_that_are_asked_for_again_cost_no_page_faults_while_memory_is_kept():
    _give_memory_back()  # as every script begins
    given_back = faults_of(4)
    with kept_memory():
        faults_of(1)
        assert faults_of(4) < given_back / 10
    faults_of(1)
    assert faults_of(4) > given_back / 2


def test_memory_is_given_back_after_an_error():
    with pytest.raises(RuntimeError), kept_memory():
        raise RuntimeError
    faults_of(1)
    assert faults_of(4) > 0
