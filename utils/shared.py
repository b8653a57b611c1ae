"""Memory that processes share."""

import mmap
import os
import tempfile
import weakref
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import numpy as np

GIGABYTE = 10**9


class SharedBytes:
    """Bytes that processes share, however they were started: in memory, or in a nameless file of a folder.

    The space is reserved at once, so that a full disk raises OSError here rather than killing whoever writes later.
    Nothing is left when the last process ends, even if it is killed.
    """

    def __init__(self, size: int, folder: Path | None = None):
        self.size = size
        self._open(_new_file(size, folder))

    def _open(self, file: int) -> None:
        self._file = file
        weakref.finalize(self, os.close, file)
        self.bytes = np.frombuffer(mmap.mmap(file, self.size), np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        return {"size": self.size, "file": DupFd(self._file)}  # a worker that is spawned gets the file, not a copy

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.size = state["size"]
        self._open(state["file"].detach())


def _new_file(size: int, folder: Path | None) -> int:
    """Descriptor of a new file of `size` bytes that has no name."""
    if folder is None and hasattr(os, "memfd_create"):
        file = os.memfd_create("samples")
    else:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as named:
            file = os.dup(named.fileno())
    try:
        reserve = getattr(os, "posix_fallocate", lambda file, _, size: os.ftruncate(file, size))
        reserve(file, 0, size)
    except OSError as error:
        os.close(file)
        where = "memory" if folder is None else str(folder)
        message = f"{error.strerror}: {size / GIGABYTE:.2f} GB to share between processes"
        raise OSError(error.errno, message, where) from error
    return file
