"""Cases that stay open between reads."""

import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from data.cases import Case
from data.sources.opening import CaseReader
from data.sources.source import Source

CASES = 8  # each keeps what was decoded last of it
Kept = dict[str, tuple[ExitStack, Source, Source]]


class KeptOpen:
    """A reader that keeps the cases it opened last open while it lives, for one thread; each process opens its own."""

    def __init__(self, reader: CaseReader, limit: int = CASES):
        self.reader = reader
        self.limit = limit
        self._process = 0
        self._kept: Kept = {}
        weakref.finalize(self, _close_all, self._kept)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their indices."""
        return self.reader.classes

    @contextmanager
    def open_both(self, case: Case) -> Iterator[tuple[Source, Source]]:
        """Image and labels of a case, which stay open; raises what the reader raises."""
        if self._process != os.getpid():  # a file that was open before a fork has one place for both processes
            self.close()
            self._process = os.getpid()
        if case.id not in self._kept:
            while len(self._kept) >= self.limit:
                self._kept.pop(next(iter(self._kept)))[0].close()
            self._kept[case.id] = self._open(case)
        self._kept[case.id] = self._kept.pop(case.id)
        yield self._kept[case.id][1:]

    def close(self) -> None:
        """Close all cases."""
        _close_all(self._kept)

    def _open(self, case: Case) -> tuple[ExitStack, Source, Source]:
        stack = ExitStack()
        return (stack, *stack.enter_context(self.reader.open_both(case)))


def _close_all(kept: Kept) -> None:
    while kept:
        kept.popitem()[1][0].close()
