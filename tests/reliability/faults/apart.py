"""Steps in a process of their own, forked from one that has imported everything, with a fault at a known moment."""

import atexit
import hashlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.reliability.room import Room, furnish
from tests.reliability.steps import Seen, call, predict, tile
from tests.test_resume import FORK, save_pairs, words

EPOCHS = 2
PATIENCE_SECONDS = 120
TOUCHES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")  # of what Python tells its audit hooks


@dataclass(frozen=True)
class Fault:
    """A signal that a process sends to itself so long after it touched a place in its output for the nth time.

    A touch is a text such as `os.rename masks/left.tiff`, in which `place` is looked for.
    """

    place: str = ""
    nth: int = 1
    seconds: float = 0.0
    number: signal.Signals = signal.SIGKILL
    worker: bool = False  # the signal goes to a process that loads patches


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, minus the number of a signal that killed it, what it said, and how soon."""

    code: int
    text: str
    seconds: float

    @property
    def seen(self) -> Seen:
        """Exit code and text."""
        return Seen(self.code, self.text)


def train(room: Room) -> Seen:
    """Train one of two folds for two epochs; a run that has a checkpoint goes on."""
    import train_net

    options = {"OUTPUT_DIR": room.folder, "SOLVER.EPOCHS": EPOCHS, "SOLVER.FOLDS": [0]}
    pairs = words(room.folder, "out", "--resume", "auto")
    return call(lambda argv: train_net.main([*pairs, *argv]), room, options)


APART: dict[str, Callable[[Room], Seen]] = {"tile": tile, "predict": predict, "train": train}


def furnish_all(folder: Path) -> Room:
    """A room that has pairs to train on as well."""
    room = furnish(folder)
    save_pairs(room.folder / "pairs", 4)
    return room


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: how often it touched its output, all that was ever put in place there, and what was left."""

    room: Room
    touches: int
    versions: dict[str, list[str]]
    final: dict[str, str]
    sizes: dict[str, int]

    def partial(self) -> list[str]:
        """What lies in the output now that the undisturbed run never had there, in this form."""
        found = products(self.room.out)
        strange = [
            name for name, digest in found.items() if digest not in self.versions.get(name, [self.final.get(name)])
        ]
        indexed = any(name.endswith("tiles.csv") for name in found)
        return strange + [name for name in self.final if indexed and name.endswith(".png") and name not in found]

    def lost(self) -> list[str]:
        """What is not, now, as the undisturbed run left it, and drafts."""
        found = products(self.room.out)
        names = sorted({*found, *self.final})
        return [name for name in names if found.get(name) != self.final.get(name)] + drafts(self.room.out)


@cache
def undisturbed(step: str) -> Whole:
    """A room where a step was run, once for all the faults that are tried there; its output is cleared away."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    room, record = furnish_all(folder / "room"), folder / "record.json"
    ended = run_apart(step, room, record=record)
    assert ended.code == 0, ended.text
    found = json.loads(record.read_text())
    final = products(room.out)
    sizes = {name: (room.out / name).stat().st_size for name in final}
    whole = Whole(room, found["touches"], found["versions"], final, sizes)
    assert whole.final.keys() <= whole.versions.keys()
    assert drafts(room.out) == []
    shutil.rmtree(room.out)
    return whole


def run_apart(step: str, room: Room, fault: Fault | None = None, record: Path | None = None) -> Ended:
    """Run a step in a process of its own; `record` is a file for what an undisturbed run did."""
    return begin(step, room, fault, record).wait()


@dataclass
class Begun:
    """A process at work."""

    process: multiprocessing.process.BaseProcess
    log: Path

    def await_signal(self) -> None:
        """Wait until the process has sent its signal."""
        sent, until = self.log.with_suffix(".at"), time.monotonic() + PATIENCE_SECONDS
        while not sent.exists() and self.process.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)

    def wait(self) -> Ended:
        """How it ended."""
        self.process.join(PATIENCE_SECONDS)
        ended, code = time.time(), self.process.exitcode
        if code is None:
            self.process.kill()
        sent = self.log.with_suffix(".at")
        begun = float(sent.read_text()) if sent.exists() else ended
        sent.unlink(missing_ok=True)
        return Ended(-99 if code is None else code, self.log.read_text() if self.log.exists() else "", ended - begun)


_numbers = itertools.count()


def begin(step: str, room: Room, fault: Fault | None = None, record: Path | None = None) -> Begun:
    """Start a step in a process of its own."""
    log = room.folder / f"said{next(_numbers)}.txt"
    process = FORK.Process(target=_forked, args=(step, room, log, fault, record))
    process.start()
    return Begun(process, log)


def _forked(step: str, room: Room, log: Path, fault: Fault | None, record: Path | None) -> None:
    import tests.trainer  # noqa: F401  there already in the process that others are forked from

    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    multiprocessing.set_start_method("fork", force=True)  # of the loaders' processes, as always
    touches = _Touches(room.out, fault, log.with_suffix(".at"), record is not None)
    sys.addaudithook(touches)
    seen = APART[step](room)
    if record:
        record.write_text(json.dumps({"touches": touches.count, "versions": touches.versions}))
    log.write_text(seen.text)
    sys.exit(seen.code)


class _Touches:
    """Counts what a process does in its output, keeps the hashes of all that is put in place, and sends the signal."""

    def __init__(self, root: Path, fault: Fault | None, sent: Path, record: bool):
        self.root, self.fault, self.sent, self.record = str(root), fault, sent, record
        self.count, self.left, self.own = 0, fault.nth if fault else 0, os.getpid()
        self.versions: dict[str, list[str]] = {}
        self.inside = threading.local()

    def __call__(self, event: str, args: tuple) -> None:
        if event not in TOUCHES or os.getpid() != self.own or getattr(self.inside, "here", False):
            return
        path = _path(args[1 if event == "os.rename" else 0])
        if not path.startswith(self.root) or (event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.inside.here = True
        self._touch(event, path, args)
        self.inside.here = False

    def _touch(self, event: str, path: str, args: tuple) -> None:
        place = path[len(self.root) + 1 :]
        self.count += 1
        if self.record and event == "os.rename":
            for name, digest in hashes(Path(_path(args[0])), place):
                self.versions.setdefault(name, []).append(digest)
        if self.fault and re.search(self.fault.place, f"{event} {place}"):
            self.left -= 1
            if self.left == 0 and self.fault.seconds:
                threading.Timer(self.fault.seconds, self._send).start()
            elif self.left == 0:
                self._send()

    def _send(self) -> None:
        self.sent.write_text(str(time.time()))
        target = multiprocessing.active_children()[0].pid if self.fault.worker else self.own
        os.kill(target, self.fault.number)


def _path(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else ""


def hashes(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Names and hashes of a file, or of all files of a folder, as if it were called `name`."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            inside = name if file == path else f"{name}/{file.relative_to(path).as_posix()}"
            yield inside.lstrip("/"), hashlib.sha256(_without_times(inside, file.read_bytes())).hexdigest()


def _without_times(name: str, content: bytes) -> bytes:
    """The table of the epochs says, in its last column, how long each took; nothing else does."""
    if not name.endswith("history.csv"):
        return content
    return b"\n".join(line.rsplit(b",", 1)[0] for line in content.splitlines())


def products(out: Path) -> dict[str, str]:
    """Hashes of all that lies under a final name in a folder of output, but for what is of the run."""
    found = dict(hashes(out, "")) if out.exists() else {}
    return {name: digest for name, digest in found.items() if not _is_of_the_run(name)}


def _is_of_the_run(name: str) -> bool:
    parts = name.split("/")
    return parts[0] in {"training_state", "log.txt", "versions.txt"} or any(part.startswith(".") for part in parts)


def drafts(out: Path) -> list[str]:
    """What lies under names of chance, and the lock."""
    return sorted(str(path.relative_to(out)) for path in out.rglob(".*"))
