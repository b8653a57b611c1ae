"""Stopping at a good place when the system or the user asks for it."""

import logging
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 9.0  # within which work that was told to stop must have come to a good place


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered; `obey` then ends the work as the signal would have done at once.

    Leaving it obeys too. A second signal ends the work where it is, and so does `GRACE_SECONDS` after the first one.
    """

    def __init__(self) -> None:
        self.number = 0
        self._watch: threading.Timer | None = None

    def __enter__(self) -> Self:
        here = threading.current_thread() is threading.main_thread()  # no other thread may say what a signal does
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS if here}
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            self.obey()
        self.number = number
        self._watch = threading.Timer(GRACE_SECONDS, _leave, [number])
        self._watch.daemon = True
        self._watch.start()

    def obey(self) -> None:
        """Raise KeyboardInterrupt for SIGINT and SystemExit(143) for SIGTERM, if one came."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number:
            raise SystemExit(128 + self.number)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._watch:
            self._watch.cancel()
        self.obey()  # whatever else went wrong meanwhile: the loaders' processes may have had the same signal


def _leave(number: int) -> None:
    log.error("no good place to stop within %.0f s; the last checkpoint stands", GRACE_SECONDS)
    os._exit(128 + number)
