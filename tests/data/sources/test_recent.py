import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data.sources.recent import Recent


def test_what_was_made_is_not_made_again():
    recent, made = Recent(100), []
    for key in "abab":
        recent.get(key, lambda key=key: made.append(key) or np.zeros(10, np.uint8))
    assert made == ["a", "b"]


def test_what_was_not_used_for_longest_goes_first_and_bytes_are_bounded():
    recent, made = Recent(30), []
    for key in "abcadab":
        recent.get(key, lambda key=key: made.append(key) or np.zeros(10, np.uint8))
        assert recent.bytes <= 30
    assert made == ["a", "b", "c", "d", "b"]


def test_the_last_array_is_kept_however_large():
    recent = Recent(5)
    large = recent.get("a", lambda: np.zeros(10, np.uint8))
    assert recent.get("a", pytest.fail) is large
    recent.get("b", lambda: np.zeros(7, np.uint8))
    assert recent.bytes == 7


def test_an_error_is_not_kept():
    recent = Recent(100)
    with pytest.raises(ValueError, match="broken"):
        recent.get("a", lambda: (_ for _ in ()).throw(ValueError("broken")))
    assert recent.get("a", lambda: np.ones(1)).tolist() == [1]


def test_threads_that_want_the_same_wait_for_the_first():
    recent, made, begun, go = Recent(100), [], threading.Event(), threading.Event()

    def make():
        begun.set()
        assert go.wait(10)
        made.append(1)
        return np.zeros(10, np.uint8)

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(recent.get, "a", make) for _ in range(4)]
        assert begun.wait(10)
        go.set()
        arrays = [future.result() for future in futures]
    assert made == [1]
    assert all(array is arrays[0] for array in arrays)
