import subprocess
import sys
from pathlib import Path

import pytest

from utils.memory import kept_memory

ROOT = Path(__file__).resolve().parents[2]
# in a process of its own, since the heap of this one looks as other tests left it
FAULTS = """
import resource
import numpy as np
from config.run import _give_memory_back
from utils.memory import kept_memory

def faults_of(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(2**26, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

_give_memory_back()  # as every script begins
faults_of(1)
before = faults_of(4)
with kept_memory():
    faults_of(1)
    within = faults_of(4)
faults_of(1)
print(before, within, faults_of(4))
"""


def test_blocks_that_are_asked_for_again_cost_no_page_faults_while_memory_is_kept():
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True)
    before, within, after = map(int, done.stdout.split())
    assert within < before / 10
    assert after > before / 2


def test_an_error_within_comes_out():
    with pytest.raises(RuntimeError), kept_memory():
        raise RuntimeError
