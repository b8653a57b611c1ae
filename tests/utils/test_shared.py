import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from utils.shared import SharedBytes


def write_twice(shared, ready):
    shared.bytes[1] = 2 * shared.bytes[0]
    ready.set()


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_processes_see_the_same_bytes_however_they_were_started(tmp_path, start, on_disk):
    shared = SharedBytes(4096, tmp_path if on_disk else None)
    shared.bytes[0] = 21
    context = multiprocessing.get_context(start)
    ready = context.Event()
    process = context.Process(target=write_twice, args=(shared, ready))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert ready.is_set()
    assert shared.bytes[1] == 42


def test_what_no_longer_is_used_is_given_back():
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(5):
        SharedBytes(4096)
    assert not before or len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch, tmp_path):
    def full(file, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: 5\.00 GB") as caught:
        SharedBytes(5 * 10**9, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path)
