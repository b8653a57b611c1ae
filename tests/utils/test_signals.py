import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from utils.signals import StopRequest


def outcome_of(work):
    """What leaving the work raises."""
    try:
        with StopRequest() as stop:
            work(stop)
    except (KeyboardInterrupt, SystemExit, RuntimeError) as error:
        return type(error), getattr(error, "code", None)
    return None


@pytest.mark.parametrize(
    ("number", "outcome"), [(signal.SIGINT, (KeyboardInterrupt, None)), (signal.SIGTERM, (SystemExit, 143))]
)
def test_a_signal_is_noted_and_obeyed_only_when_it_suits(number, outcome):
    done = []

    def work(stop):
        signal.raise_signal(number)
        done.append(stop.number)
        stop.obey()
        done.append("never")

    assert outcome_of(work) == outcome
    assert done == [number]


def test_leaving_obeys_too_even_after_an_error():
    def fail(stop):
        signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("a process that loads had the signal as well")

    assert outcome_of(lambda stop: signal.raise_signal(signal.SIGTERM)) == (SystemExit, 143)
    assert outcome_of(fail) == (SystemExit, 143)


def test_a_second_signal_does_not_wait():
    done = []

    def work(stop):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        done.append("never")

    assert outcome_of(work) == (KeyboardInterrupt, None)
    assert not done


def test_without_a_signal_nothing_happens_and_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest() as stop:
        stop.obey()
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_may_use_it_without_signals():
    found = []

    def work():
        with StopRequest() as stop:
            found.append(stop.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0]


STUCK = """
import time, utils.signals as signals
signals.GRACE_SECONDS = 0.3
with signals.StopRequest():
    print("ready", flush=True)
    for _ in range(200):
        time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_that_comes_to_no_good_place_is_ended_in_time(number):
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        os.kill(process.pid, number)
        begun = time.monotonic()
        assert process.wait(20) == 128 + number
        assert time.monotonic() - begun < 10
