"""The fuzz loop itself, for a moment on every target; it runs for minutes by hand."""

import collections
import itertools
import os
import signal
import warnings

import pytest

from data.sources import SourceError
from tests.reliability.fuzz.__main__ import main
from tests.reliability.fuzz.children import Input, try_inputs
from tests.reliability.fuzz.loop import fuzz, make_input
from tests.reliability.fuzz.mutations import Seed
from tests.reliability.fuzz.targets import TARGETS, Target, WrongError

SEED = Seed(".rle", b"1 2")


def fail(error, cause=None):
    raise error from cause


DEEDS = {
    "well": lambda: None,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda: collections.deque(itertools.count(), 0),
    "much": lambda: bytearray(2**40),
    "take": lambda: b"x" * 2**28,
    "claim": lambda: fail(SourceError("in.rle is huge"), MemoryError()),
    "unnamed": lambda: fail(SourceError("it is damaged")),
    "named": lambda: fail(SourceError("in.rle is damaged")),
    "wrong": lambda: fail(WrongError("two and two is 5")),
    "warn": lambda: warnings.warn("divided by 0", RuntimeWarning, stacklevel=1),
}


def chosen(path, seed, is_cut):
    """A reader that does what its input says."""
    DEEDS[path.read_text()]()


def kinds(*words):
    target = Target("chosen", lambda: [SEED], chosen)
    return [
        finding.kind
        for finding in try_inputs(target, [Input(n, SEED, word.encode(), False) for n, word in enumerate(words)])
    ]


def test_each_kind_of_trouble_is_found_and_what_follows_is_tried(monkeypatch):
    monkeypatch.setattr("tests.reliability.fuzz.children.SECONDS", 0.3)
    found = kinds("well", "crash", "named", "hang", "much", "claim", "unnamed", "wrong", "warn", "well")
    assert [kind.split(" in ")[0] for kind in found] == [
        "crash: SIGSEGV",
        "hang: processor time",
        "MemoryError",
        "memory: the file claims more than there is",
        "message: does not name the file: it is damaged",
        "silent: two and two is 0",
        "warning: divided by 0",
    ]


def test_memory_that_is_really_taken_is_found(monkeypatch):
    monkeypatch.setattr("tests.reliability.fuzz.children.RESIDENT", 2**27)
    assert kinds("take", "well") == ["memory: much is taken"]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read_as_they_are(name):
    target = TARGETS[name]
    assert try_inputs(target, [Input(n, seed, seed.data, True) for n, seed in enumerate(target.seeds())]) == []


@pytest.mark.parametrize("name", TARGETS)
def test_a_moment_of_fuzzing_finds_nothing(name, tmp_path):
    tally = fuzz(TARGETS[name], seed=9, seconds=0, folder=tmp_path, batch=60)
    assert (tally.inputs, dict(tally.kinds)) == (60, {})
    assert list(tmp_path.iterdir()) == []


def test_an_input_is_made_again_from_its_numbers():
    first, again = (make_input(TARGETS["slide"], 3, 5) for _ in range(2))
    assert first == again
    assert len({make_input(TARGETS["slide"], 3, number).data for number in range(50)}) > 45


def test_findings_are_kept_once_a_kind_with_what_makes_them_again(tmp_path, capsys, monkeypatch):
    broken = Target("rle", TARGETS["rle"].seeds, lambda path, seed, is_cut: fail(KeyError(path.stat().st_size)))
    monkeypatch.setitem(TARGETS, "rle", broken)
    words = ["--minutes", "0", "--seed", "4", "--target", "rle", "--output", str(tmp_path)]
    assert main(words) == 1
    assert "rle: 100 inputs, 100 findings of 1 kinds" in capsys.readouterr().out
    about, data = sorted((tmp_path / "rle").iterdir(), key=lambda path: path.suffix != ".txt")
    assert "seed 4, number 0" in about.read_text()
    assert data.read_bytes() == make_input(TARGETS["rle"], 4, 0).data
