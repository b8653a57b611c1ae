import logging
import sys

from utils import progress
from utils.progress import track


def test_items_come_through_unchanged_and_lazily():
    drawn = []

    def items():
        for number in range(3):
            drawn.append(number)
            yield number

    loop = track(items(), "slides", 3)
    assert next(loop) == 0
    assert drawn == [0]
    assert list(loop) == [1, 2]


def test_a_bar_on_a_terminal_passes_the_items_too(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(track(iter("abc"), "slides", 3)) == ["a", "b", "c"]


def test_a_log_gets_a_line_each_half_minute_with_the_time_left(monkeypatch, caplog):
    clock = iter([0.0, 10.0, 30.0, 45.0, 60.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        assert list(track(range(4), "slides", 4)) == [0, 1, 2, 3]
    assert caplog.messages == ["slides: 2 of 4, about 30 s left"]


def test_nothing_to_do_is_nothing_to_say(caplog):
    with caplog.at_level(logging.INFO):
        assert list(track([], "slides", 0)) == []
    assert not caplog.records
