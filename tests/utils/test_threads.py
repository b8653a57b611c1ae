import os
import signal
import threading
import time

import pytest

from utils.threads import Ahead, Beside, core_count, networks_at_once, reader_count


def test_threads_follow_the_cores_that_the_process_may_use(monkeypatch):
    found = []
    for cores in (1, 2, 3, 64):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        found.append((core_count(), reader_count(), networks_at_once()))
    assert found == [(1, 1, 1), (2, 2, 2), (3, 3, 2), (64, 4, 2)]


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 3), (4, 100)])
def test_results_come_in_the_order_of_the_items(threads, ahead):
    def work(item):
        time.sleep(0.002 * (item % 3))
        return item * item

    with Ahead(work, range(20), threads, ahead) as results:
        assert [(item, future.result()) for item, future in results] == [(item, item * item) for item in range(20)]


def test_work_begins_at_once_but_no_further_ahead_than_asked():
    begun = []
    with Ahead(begun.append, range(50), 1, ahead=3) as results:
        deadline = time.monotonic() + 5
        while len(begun) < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert begun == [0, 1, 2]
        taken = iter(results)
        next(taken)[1].result()
        time.sleep(0.02)
        assert begun == [0, 1, 2, 3]


def test_the_error_of_one_item_is_its_own():
    with Ahead(lambda item: 1 // item, [1, 0, 1]) as results:
        futures = [future for _, future in results]
        assert futures[0].result() == futures[2].result() == 1
        with pytest.raises(ZeroDivisionError):
            futures[1].result()


def test_what_nobody_took_is_discarded():
    discarded = []

    def stop_after_the_first():
        with Ahead(str, range(10), 1, 2, discard=discarded.append) as results:
            for _, future in results:
                future.result()
                time.sleep(0.05)
                raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_after_the_first()
    assert discarded == ["1", "2"]


def test_work_beside_is_done_in_order_and_all_of_it():
    done = []
    with Beside() as beside:
        for number in range(20):
            beside.do(done.append, number)
    assert done == list(range(20))


def test_only_so_much_work_waits():
    gate, begun = threading.Event(), []

    def work(number):
        begun.append(number)
        gate.wait(5)

    with Beside(waiting=1) as beside:
        threading.Timer(0.1, gate.set).start()
        for number in range(2):
            beside.do(work, number)
        assert begun in ([], [0])
        before = time.monotonic()
        beside.do(work, 2)
        assert time.monotonic() - before > 0.02


def test_an_error_beside_comes_out():
    def all_at_the_end():
        with Beside() as beside:
            beside.do(int, "x")

    def at_the_next():
        with Beside() as beside:
            beside.do(int, "x")
            time.sleep(0.05)
            beside.do(pytest.fail, "the next piece must not be taken")

    for run in (all_at_the_end, at_the_next):
        with pytest.raises(ValueError, match="invalid literal"):
            run()


def test_after_an_error_of_the_main_work_its_own_error_counts():
    def run():
        with Beside() as beside:
            beside.do(int, "x")
            raise KeyError("main")

    with pytest.raises(KeyError, match="main"):
        run()


def test_a_signal_while_the_last_piece_is_waited_for_lets_that_end_and_begins_no_other():
    done = []

    def work(number):
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        done.append(number)

    def both():
        with Beside() as beside:
            for number in range(2):
                beside.do(work, number)

    with pytest.raises(KeyboardInterrupt):
        both()
    assert done == [0]
