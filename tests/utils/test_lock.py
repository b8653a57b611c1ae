import os
import subprocess
import sys

import pytest

from utils.lock import LockedError, lock

HOLD = """
import sys, pathlib
from utils.lock import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_ends(tmp_path):
    path = tmp_path / "run" / "state" / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(LockedError, match=f"another process is at work in {tmp_path / 'run'}"), lock(path):
            pass
        process.kill()
        process.wait()
    with lock(path):
        pass


def test_a_process_forked_meanwhile_does_not_hold_it_on(tmp_path):
    reading, writing = os.pipe()
    with lock(tmp_path / "a" / "lock"):
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a" / "lock")]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    os.write(writing, b"x")
    os.waitpid(child, 0)
    assert done.stdout == b"held\n"
