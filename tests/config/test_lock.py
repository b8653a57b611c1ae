import errno
import fcntl
import os
import subprocess
import sys

import pytest

from config.lock import NAME, LockedError, lock
from tests.holder import HOLD, held


def test_a_second_process_is_refused_by_the_name_of_the_first_until_that_ends(tmp_path):
    folder = tmp_path / "run"
    with held(folder) as process:
        told = f"another process is at work in {folder}: process {process.pid} on "
        with pytest.raises(LockedError, match=told), lock(folder):
            pass
    assert (folder / NAME).exists()
    with lock(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_process_forked_meanwhile_does_not_hold_it_on(tmp_path):
    reading, writing = os.pipe()
    with lock(tmp_path / "a"):
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a")]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    os.write(writing, b"x")
    os.waitpid(child, 0)
    assert done.stdout == b"held\n"


def test_a_folder_that_was_made_and_stays_empty_goes_again(tmp_path):
    with pytest.raises(ValueError, match="wrong"), lock(tmp_path / "a" / "b"):
        raise ValueError("wrong")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with lock(tmp_path / "mine"):
        pass
    with lock(tmp_path / "full"):
        (tmp_path / "full" / "product").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "mine", "product"]


def test_a_lock_that_vanished_while_it_was_waited_for_is_none(tmp_path, monkeypatch):
    real, left = fcntl.lockf, [1]

    def remove_first(file, how):
        if left:
            left.pop()
            (tmp_path / NAME).unlink()  # as its holder does at its end
        real(file, how)

    monkeypatch.setattr(fcntl, "lockf", remove_first)
    with lock(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / NAME).read_text()


def test_where_no_file_can_be_locked_work_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def none(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    with lock(tmp_path / "a"):
        pass
    assert "start no second run in it" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def forbidden(*args):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / NAME))

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(OSError, match="Permission denied") as caught, lock(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)
