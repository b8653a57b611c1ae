"""Inputs tried in a child process of limited memory and time, so that one that kills it is known."""

import faulthandler
import json
import logging
import os
import re
import resource
import select
import signal
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.reliability.fuzz.mutations import Seed
from tests.reliability.fuzz.targets import NAME, Target, WrongError

MEMORY = 3 * 2**30  # bytes of addresses above those that the parent has
RESIDENT = 2**30  # bytes that one input may really take
SECONDS = 10  # of processor time for one input
PATIENCE = 90  # seconds by the clock, of which a busy machine may take many
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Input:
    """A number that with the run's seed makes it again, the seed file, the bytes, whether they are only cut."""

    number: int
    seed: Seed
    data: bytes
    is_cut: bool


@dataclass(frozen=True)
class Finding:
    """An input, the kind of trouble with the place in our code, and all that is known of it."""

    input: Input
    kind: str
    text: str


def try_inputs(target: Target, inputs: Sequence[Input]) -> list[Finding]:
    """What is found of a batch; where an input kills the child, the next one goes on."""
    found: list[Finding] = []
    with TemporaryDirectory(prefix="fuzz-") as folder:
        while inputs:
            lines, end = _try_in_child(target, inputs, Path(folder))
            for one, line in zip(inputs, lines, strict=False):
                found += [Finding(one, *json.loads(line))] if line else []
            inputs = inputs[len(lines) :]
            if inputs:
                text = (Path(folder) / "stack.txt").read_text(errors="replace")
                found.append(Finding(inputs[0], f"{end} in {_innermost(text.splitlines())}", text))
                inputs = inputs[1:]
    return found


def _try_in_child(target: Target, inputs: Sequence[Input], folder: Path) -> tuple[list[bytes], str]:
    """A line for each input that came to an end, empty if all is well with it; and how the child ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _work(target, inputs, folder, writing)
        finally:
            os._exit(3)
    os.close(writing)
    lines, in_time = _listen(reading)
    os.close(reading)
    if not in_time:
        os.kill(child, signal.SIGABRT)
    status = os.waitpid(child, 0)[1]
    if not in_time:
        return lines, "hang: by the clock"
    ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    return lines, "hang: processor time" if ended == "SIGPROF" else f"crash: {ended}"


def _listen(pipe: int) -> tuple[list[bytes], bool]:
    """The lines until the other end is closed, and whether that was before patience ended."""
    data = b""
    while select.select([pipe], [], [], PATIENCE)[0]:
        more = os.read(pipe, 2**16)
        if not more:
            return data.split(b"\n")[:-1], True
        data += more
    return data.split(b"\n")[:-1], False


def _work(target: Target, inputs: Sequence[Input], folder: Path, pipe: int) -> None:
    """In the child: try one input after the other."""
    logging.disable(logging.CRITICAL)
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (addresses + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["TMPDIR"] = str(folder)
    with (folder / "stack.txt").open("w") as stack:
        os.dup2(stack.fileno(), 1)
        os.dup2(stack.fileno(), 2)
        faulthandler.enable(stack)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.register(signal.SIGPROF, stack, chain=True)
        for one in inputs:
            stack.truncate(0)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            trouble = _examine(target, one, folder)
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(pipe, (json.dumps(trouble) if trouble else "").encode() + b"\n")
    os._exit(0)


def _examine(target: Target, one: Input, folder: Path) -> tuple[str, str] | None:
    """The kind of trouble with an input, and its traceback; None if all is well."""
    path, before = folder / f"{NAME}{one.seed.ending}", _resident()
    path.write_bytes(one.data)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            target.read(path, one.seed, one.is_cut)
        except WrongError as error:
            return f"silent: {_general(str(error))}", traceback.format_exc()
        except target.errors as error:
            trouble = target.trouble_with(error, path)
            if trouble:
                return _general(trouble), traceback.format_exc()
        except Exception as error:
            return f"{type(error).__name__} in {_place(error)}", traceback.format_exc()
    if _resident() - before > RESIDENT:
        return "memory: much is taken", f"{_resident() - before} bytes"
    numeric = [each for each in warned if each.category is RuntimeWarning]  # of numpy; Pillow has one of its own kind
    return (f"warning: {_general(str(numeric[0].message))}", str(numeric[0])) if numeric else None


def _general(text: str) -> str:
    """A text without what differs from input to input."""
    return re.sub(r"[0-9]+", "0", text)[:80]


def _resident() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    """The innermost line of our own code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    last = own[-1] if own else frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _innermost(lines: Sequence[str]) -> str:
    """The same of a stack that the fault handler wrote, innermost first."""
    return next((line.strip() for line in lines if _is_own(line)), "?")[-80:]


def _is_own(text: str) -> bool:
    return f"{ROOT}/" in text and "site-packages" not in text and "tests/" not in text
