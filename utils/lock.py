"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockedError(ValueError):
    """Another process holds what was asked for."""


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the file `path` until the block or the process ends; raises LockedError while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not handed on to the loaders' processes
        except (BlockingIOError, PermissionError) as error:
            raise LockedError(f"another process is at work in {path.parent.parent}") from error
        yield
