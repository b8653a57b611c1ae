"""Work that goes on beside other work, in bounded memory and in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reader_count() -> int:
    """Threads that read and decode: one a core, at most 4."""
    return min(4, core_count())


def networks_at_once() -> int:
    """Patches that networks on the CPU compute side by side, each with its share of the cores.

    Threads of one forward pass wait for each other at every layer, and for whatever else the cores have to do; two
    passes do not. More than two would cost memory.
    """
    return min(2, core_count())


class Ahead(AbstractContextManager, Generic[Item, Result]):
    """Results of `work` for each item, in order; threads begin at once and keep up to `ahead` results waiting.

    Results that nobody took are given to `discard` at the end.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        threads: int = 1,
        ahead: int = 1,
        discard: Callable[[Result], object] = lambda result: None,
    ):
        self._work = work
        self._items = iter(items)
        self._pool = ThreadPoolExecutor(threads)
        self._discard = discard
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._submit(ahead)

    def _submit(self, count: int) -> None:
        self._waiting.extend((item, self._pool.submit(self._work, item)) for item in islice(self._items, count))

    def __iter__(self) -> Iterator[tuple[Item, Future[Result]]]:
        """Each item with its result, which is then perhaps still in the making; the next one is begun."""
        while self._waiting:
            item, future = self._waiting.popleft()
            self._submit(1)
            yield item, future

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        for _, future in self._waiting:
            if not future.cancelled() and future.exception() is None:
                self._discard(future.result())


class Beside(AbstractContextManager):
    """Does pieces of work one after the other on a thread; at most `waiting` wait, then `do` waits for the first.

    An error of the work comes out of the next `do` or at the end.
    """

    def __init__(self, waiting: int = 2):
        self._pool = ThreadPoolExecutor(1)
        self._limit = waiting
        self._begun: deque[Future] = deque()

    def do(self, work: Callable[..., object], *arguments: object) -> None:
        """Have `work(*arguments)` done after all that was given before."""
        while len(self._begun) > self._limit or (self._begun and self._begun[0].done()):
            self._begun.popleft().result()
        self._begun.append(self._pool.submit(work, *arguments))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._cancel()
        try:
            self._wait()
        except BaseException:  # a signal: what is being written now is finished first, and nothing else begun
            self._cancel()
            self._wait()
            raise
        finally:
            self._pool.shutdown(cancel_futures=True)
        while self._begun and error is None:
            self._begun.popleft().result()

    def _cancel(self) -> None:
        for future in self._begun:
            future.cancel()

    def _wait(self) -> None:
        # not by joining the thread: a join that a signal interrupts takes the thread for ended (Python 3.11)
        wait([future for future in self._begun if not future.cancelled()])
