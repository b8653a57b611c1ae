import time

import numpy as np
import pytest

from benchmarks import flow


def wait(patches):
    time.sleep(flow.pixels([patches.shape]) / 1e6)
    return patches


def test_calls_of_the_network_are_noted():
    noted = flow.Noted(wait)
    for shape in ((2, 3, 100, 100), (1, 3, 100, 50)):
        noted(np.zeros(shape, np.uint8))
    assert noted.shapes == [(2, 3, 100, 100), (1, 3, 100, 50)]
    assert flow.pixels(noted.shapes) == 25_000
    assert 0.025 <= noted.seconds < 1


def test_some_patches_stand_for_all_where_there_are_many(monkeypatch):
    called = []
    monkeypatch.setattr(flow, "ENOUGH_PX", 20_000)
    shapes = [(1, 3, 100, 100)] * 10
    spent = flow.forward_seconds(lambda patches: called.append(patches.shape) or wait(patches), shapes)
    assert len(called) == 2
    assert spent == pytest.approx(0.1, abs=0.05)
