"""What was decoded last, kept because neighbours share it."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock

import numpy as np


class Recent:
    """Arrays by key, of at most `limit` bytes besides the last one; what was not used for longest goes first.

    Threads that want the same array wait for the first of them to make it.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.bytes = 0
        self._lock = Lock()
        self._kept: dict[Hashable, np.ndarray] = {}
        self._coming: dict[Hashable, Future[np.ndarray]] = {}

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, made where it is not at hand; what `make` raises reaches all who wait for it."""
        with self._lock:
            if key in self._kept:
                self._kept[key] = self._kept.pop(key)
                return self._kept[key]
            coming = self._coming.get(key)
            if coming is None:
                mine = self._coming[key] = Future()
        return coming.result() if coming is not None else self._make(key, make, mine)

    def _make(self, key: Hashable, make: Callable[[], np.ndarray], future: "Future[np.ndarray]") -> np.ndarray:
        try:
            array = make()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._kept[key] = array
            self.bytes += array.nbytes
            while self.bytes > self.limit and len(self._kept) > 1:
                self.bytes -= self._kept.pop(next(iter(self._kept))).nbytes
        future.set_result(array)
        return array
