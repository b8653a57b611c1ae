"""One run at a time in a folder."""

import contextlib
import errno
import fcntl
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.load import ConfigError

NAME = ".lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # some network file systems have none
log = logging.getLogger(__name__)


class LockedError(ConfigError):
    """Another process is at work in a folder; the message names it."""


@contextmanager
def lock(folder: Path) -> Iterator[Path]:
    """Hold `folder`, which is made if need be, until the block or the process ends.

    Raises LockedError at once while another process holds it. A folder that is made and stays empty is taken away.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _held(folder):
            yield folder
    finally:
        for each in made:
            with contextlib.suppress(OSError):  # it is in use
                each.rmdir()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    path = folder / NAME
    try:
        file = _open(path)
        while _is_another(file, path):  # its holder removed it after it was opened here
            os.close(file)
            file = _open(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is let go of, so that nobody locks what is about to vanish
        os.close(file)


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, not handed on to the loaders' processes
    except OSError as error:
        who = os.read(file, 200).decode(errors="replace").strip()
        if error.errno not in NO_LOCKS:
            os.close(file)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            told = f"another process is at work in {path.parent}" + f": {who}" * bool(who)
            raise LockedError([f"{told}; wait for its end or choose another folder"]) from error
        if error.errno not in NO_LOCKS:
            raise
        log.warning("%s lies where no file can be locked: start no second run in it", path.parent)
        return file
    with contextlib.suppress(OSError):  # a full disk is told of by whatever cannot be written without
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node()}, since {time.strftime('%F %T')}\n".encode())
    return file


def _is_another(file: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return True
    return not os.path.samestat(os.fstat(file), there)
