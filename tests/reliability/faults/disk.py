"""A full disk: the output lies on a tmpfs that is too small, in a name space that only the run can see.

Where none can be mounted, a limit of the size of files takes its place, and what is seen says so.
"""

import ctypes
import os
import resource
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.reliability.faults.apart import APART, Whole, drafts, undisturbed
from tests.reliability.steps import Seen
from tests.test_resume import FORK

PAGE = 4096
NEW_SPACE, NEW_USER, REMOUNT, PRIVATE, RECURSIVE = 0x20000, 0x10000000, 32, 1 << 18, 1 << 14  # of sched.h and mount.h
PATIENCE_SECONDS = 200


def full(step: str, sizes: Callable[[Whole], Sequence[int]], folder: Path) -> Seen:
    """Run a step on disks of some sizes in bytes, give each disk room, and run it again."""
    whole, told = undisturbed(step), folder.with_suffix(".txt")
    told.parent.mkdir(parents=True, exist_ok=True)
    process = FORK.Process(target=_apart, args=(step, whole, sizes(whole), told))
    process.start()
    process.join(PATIENCE_SECONDS)
    process.kill()
    shutil.rmtree(whole.room.out, ignore_errors=True)
    code, text = told.read_text().split("\n", 1) if told.exists() else ("-1", "no answer")
    return Seen(int(code), text)


def _apart(step: str, whole: Whole, sizes: Sequence[int], told: Path) -> None:
    wrong: list[str] = []
    has_space = _enter_space()
    kind = "tmpfs" if has_space else "limit of the size of files, since no tmpfs can be mounted here"
    for size in sizes:
        disk = _Disk(whole.room.out) if has_space else None
        wrong += [f"{kind} of {size} bytes: {each}" for each in _try(step, whole, disk, size)]
        if disk:
            disk.leave()
        shutil.rmtree(whole.room.out, ignore_errors=True)
    good = f"{kind} full at {len(sizes)} sizes: No space left on device: (path), nothing partial, same bytes afterwards"
    told.write_text(f"{-1 if wrong else 3}\n" + ("\n".join(wrong) or good))


class _Disk:
    """A tmpfs at a place."""

    def __init__(self, place: Path):
        self.place = place
        place.mkdir()

    def size(self, size: int, flags: int = 0) -> None:
        """Mount it, or give it another size."""
        assert mount(b"none", bytes(self.place), b"tmpfs", flags, f"size={size},mode=777".encode()) == 0

    def leave(self) -> None:
        """Take it away."""
        LIBC.umount2(bytes(self.place), 2)


LIBC = ctypes.CDLL(None, use_errno=True)
mount = LIBC.mount


def _enter_space() -> bool:
    """Whether this process has mounts of its own from now on; a user without rights needs a user name space."""
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(NEW_SPACE | (NEW_USER if user else 0)):
        return False
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return mount(b"none", b"/", None, PRIVATE | RECURSIVE, None) == 0


def _try(step: str, whole: Whole, disk: _Disk | None, size: int) -> list[str]:
    out, wrong = whole.room.out, []
    if disk:
        disk.size(size)
    first = _forked(step, whole, 0 if disk else size // len(whole.final))
    names = ("No space left on device", "File too large")
    if first.code != 3 or "Traceback" in first.text or not any(f"error: {name}: {out}" in first.text for name in names):
        wrong.append(f"exit {first.code} {first.text[-900:]}")
    wrong += [f"{name} is partial" for name in whole.partial()] + [f"{name} is left" for name in drafts(out)]
    if disk:
        disk.size(2**28, REMOUNT)
    again = _forked(step, whole, 0)
    wrong += [f"run again: exit {again.code} {again.text[-900:]}"] * (again.code != 0)
    return wrong + [f"run again: {name} is another" for name in whole.lost()]


def _forked(step: str, whole: Whole, limit: int) -> Seen:
    """The step in a process that sees the same mounts; `limit` is that of the size of files, if any."""
    said = whole.room.folder / "said_full.txt"
    child = os.fork()
    if child == 0:
        code = 99
        try:
            with said.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
            seen = APART[step](whole.room)
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            sys.stdout.write(seen.text)
            sys.stdout.flush()
            code = seen.code
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return Seen(os.waitstatus_to_exitcode(status), said.read_text())


def _shares(*shares: float) -> Callable[[Whole], list[int]]:
    """Sizes as shares of what the undisturbed run left."""
    return lambda whole: [int(share * _pages(whole)) * PAGE for share in shares]


def _pages(whole: Whole) -> int:
    return sum(-(-size // PAGE) for size in whole.sizes.values())


def _weights(*times: float) -> Callable[[Whole], list[int]]:
    """Sizes as multiples of the weights' file; a checkpoint is about three of them."""
    return lambda whole: [int(each * whole.sizes["weights/fold0.safetensors"]) for each in times]


tiling = partial(full, "tile", _shares(0.05, 0.3, 0.6, 0.9))
prediction = partial(full, "predict", _shares(0.05, 0.4, 0.8))
training = partial(full, "train", _weights(1.0, 5.0))
