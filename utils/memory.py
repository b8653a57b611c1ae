"""How glibc's malloc treats the large blocks of networks on the CPU."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's malloc.h
TRIM_BYTES, MAPPED_BLOCKS = 2**17, 2**16  # its own values
MAPPED_FROM_BYTES = 2**22  # as every script begins: glibc, once told anything, no longer finds a size itself
NEVER_TRIM_BYTES = 2**31 - 1
_holders, _lock = 0, Lock()


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed blocks for the next step, which asks for the same sizes again, and give them back at the end.

    A block that went back to the system after each use is a page fault for each of its pages at the next: a third of
    the time of a training step. Other C libraries have no such setting. It holds for the whole process, until the last
    of those that asked for it is done.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    _hold(library, 1)
    try:
        yield
    finally:
        _hold(library, -1)


def _hold(library: ctypes.CDLL, more: int) -> None:
    global _holders
    with _lock:
        before, _holders = _holders, _holders + more
        if not before:
            library.mallopt(M_MMAP_MAX, 0)
            library.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM_BYTES)
        if not _holders:
            library.mallopt(M_MMAP_MAX, MAPPED_BLOCKS)
            library.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
            library.malloc_trim(0)
