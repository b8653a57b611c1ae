import gc
import os

import numpy as np
import pytest

from data.cases import Case
from data.patches.grid import whole
from data.sources import SourceError
from data.sources.kept_open import KeptOpen
from data.sources.opening import build_reader
from tests.slides import make_cfg, noise, write_pyramid


class Counting:
    """A reader that notes what it opens and what is closed again."""

    def __init__(self):
        self.reader, self.opened, self.closed = build_reader(make_cfg()), [], []

    @property
    def classes(self):
        return self.reader.classes

    def open_both(self, case):
        self.opened.append(case.id)
        manager = self.reader.open_both(case)
        leave = manager.__exit__
        closed = self.closed

        class Noted:
            def __enter__(self):
                return manager.__enter__()

            def __exit__(self, *error):
                closed.append(case.id)
                return leave(*error)

        return Noted()


@pytest.fixture
def cases(tmp_path):
    for number in range(3):
        write_pyramid(tmp_path / f"{number}.tif", noise(64, 64, 3, seed=number), levels=1)
    return [Case(str(number), tmp_path / f"{number}.tif", {"object": "1 64"}) for number in range(3)]


def read(kept, case):
    with kept.open_both(case) as (image, labels):
        return image.read(whole((64, 64))), labels.read(whole((64, 64)))


def test_a_case_is_opened_once_and_reads_the_same_each_time(cases):
    counting = Counting()
    kept = KeptOpen(counting)
    for _ in range(3):
        for number, case in enumerate(cases):
            pixels, labels = read(kept, case)
            np.testing.assert_array_equal(pixels, noise(64, 64, 3, seed=number))
            assert labels.sum() == 64
    assert counting.opened == ["0", "1", "2"]
    kept.close()
    assert sorted(counting.closed) == ["0", "1", "2"]


def test_what_is_open_is_closed_with_the_reader(cases):
    counting = Counting()
    kept = KeptOpen(counting)
    read(kept, cases[0])
    del kept
    gc.collect()
    assert counting.closed == ["0"]


def test_the_case_used_longest_ago_is_closed_where_too_many_are_open(cases):
    counting = Counting()
    kept = KeptOpen(counting, limit=2)
    for number in (0, 1, 0, 2, 0, 1):
        read(kept, cases[number])
    assert counting.opened == ["0", "1", "2", "1"]
    assert counting.closed == ["1", "2"]
    kept.close()


def test_a_forked_process_opens_its_own(cases, monkeypatch):
    counting = Counting()
    kept = KeptOpen(counting)
    read(kept, cases[0])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    read(kept, cases[0])
    assert (counting.opened, counting.closed) == (["0", "0"], ["0"])
    kept.close()


def test_a_case_that_cannot_be_opened_is_an_error_each_time(cases):
    kept = KeptOpen(build_reader(make_cfg()))
    gone = Case("gone", cases[0].image.with_name("gone.tif"), {})
    for _ in range(2):
        with pytest.raises(SourceError, match=r"gone\.tif"):
            read(kept, gone)
    assert kept.classes == ["object"]
