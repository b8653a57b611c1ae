"""The frame of every script: a run folder that explains itself, a log, and exit codes."""

import contextlib
import ctypes
import importlib.metadata
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from logging.handlers import MemoryHandler
from pathlib import Path
from types import FrameType

from tqdm import tqdm
from yacs.config import CfgNode

from config.load import ConfigError

ALL_GOOD, SOME_FAILED, BAD_CONFIG, BAD_ENVIRONMENT = 0, 1, 2, 3
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
LARGE_BLOCK_BYTES = 2**22
GRACE_SECONDS = 9.0  # within which a script ends after a signal
LIBRARIES = (
    "torch",
    "fastai",
    "segmentation_models_pytorch",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "onnxruntime",
    "numpy",
    "pillow",
    "imagecodecs",
    "tifffile",
    "zarr",
)
log = logging.getLogger(__name__)


def script(main: Callable[[Sequence[str]], int]) -> Callable[[Sequence[str]], int]:
    """Turn the errors of a script's main(argv) into one clear message and an exit code."""

    @wraps(main)
    def wrapped(argv: Sequence[str]) -> int:
        try:
            with _terminable():
                return main(argv)
        except ConfigError as error:
            _complain(error.mistakes)
            return BAD_CONFIG
        except _Terminated:
            _complain(["stopped by SIGTERM"])
            raise
        except KeyboardInterrupt:
            _complain(["stopped by the user"])
            return 130
        except OSError as error:
            log.debug("the environment", exc_info=True)
            _complain([f"{error.strerror or error}: {error.filename or 'the output folder'}"])
            return BAD_ENVIRONMENT

    return wrapped


class _Terminated(SystemExit):
    """SIGTERM came."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the script as Ctrl-C does, with code 143, so that drafts are cleared away.

    After either of them it ends within GRACE_SECONDS, even if a thread is at work on something large.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watches: list[threading.Timer] = []

    def end(number: int, frame: FrameType | None) -> None:
        # nothing is said here: the signal may have come in the middle of a line of the log
        watches.append(threading.Timer(GRACE_SECONDS, _leave, [number]))
        watches[-1].daemon = True
        watches[-1].start()
        raise KeyboardInterrupt if number == signal.SIGINT else _Terminated(128 + number)

    # a shell may have left out Ctrl-C for work in the background
    numbers = [signal.SIGTERM] + [signal.SIGINT] * (signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for watch in watches:
            watch.cancel()


def _leave(number: int) -> None:
    sys.stderr.write(f"error: stopped in the middle of something large, {GRACE_SECONDS:.0f} s after the signal\n")
    os._exit(128 + number)


def _complain(mistakes: Sequence[str]) -> None:
    for mistake in mistakes:
        sys.stderr.write(f"error: {mistake}\n")
        _note(f"error: {mistake}")


def start_log() -> MemoryHandler:
    """Log to the terminal, and keep for `start_run` what is logged before it.

    For what can still turn out to be a mistake of the config, of which no folder is to be left.
    """
    _give_memory_back()
    terminal, so_far = _BesideBars(), MemoryHandler(sys.maxsize, logging.CRITICAL + 1)
    terminal.setFormatter(FORMATTER)
    logging.basicConfig(level=logging.INFO, handlers=[terminal, so_far], force=True)
    for noisy in ("matplotlib", "PIL", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its complaints come as one line of the slide's own
    return so_far


def start_run(cfg: CfgNode, folder: Path, so_far: MemoryHandler | None = None, resumed: bool = False) -> Path:
    """Make the run folder, with the config, the versions and the log in it, and return it.

    The log goes to the terminal and to log.txt; the run can be repeated from config.yaml and versions.txt. A resumed
    run keeps these two and goes on with its log.
    """
    so_far = so_far or start_log()
    folder.mkdir(parents=True, exist_ok=True)
    file = _LogFile(folder / "log.txt", "a" if resumed else "w", "utf-8", errors="backslashreplace")
    file.setFormatter(FORMATTER)
    so_far.setTarget(file)
    so_far.close()
    logging.getLogger().removeHandler(so_far)
    logging.getLogger().addHandler(file)
    if resumed:
        _compare_environment(folder / "versions.txt")
    else:
        _write(folder / "config.yaml", _without_name(cfg).dump(sort_keys=False))
        _write(folder / "versions.txt", "\n".join(describe_environment()) + "\n")
    log.info("run folder %s", folder)
    return folder


def _compare_environment(versions: Path) -> None:
    """Warn where the run began with another commit or other libraries: the same bits are not promised then."""
    began = versions.read_text(encoding="utf-8").splitlines() if versions.exists() else []
    for line in describe_environment():
        if line not in began:
            log.warning("the run did not begin with %s: the weights may differ in their last digits", line)


def _give_memory_back() -> None:
    """Have glibc return large blocks to the system once they are freed, and share one heap between all threads.

    It would rather keep both for later, which no two patches of different sizes can use: prediction peaks about
    250 MB lower for it, at the same speed. Other C libraries have no such setting.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, 1)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


class _Plain(logging.Formatter):
    """A line of the log; what is no text, as a half of a character in a name, is written as its number."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).encode("utf-8", "backslashreplace").decode()


FORMATTER = _Plain("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")


class _BesideBars(logging.Handler):
    """Writes a line to standard output above a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(_printable(self.format(record)), file=sys.stdout)


class _LogFile(logging.FileHandler):
    """Log.txt; where it cannot be written, as on a full disk, the terminal still has it all."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is of logging
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _without_name(cfg: CfgNode) -> CfgNode:
    """The config that repeats a run: its name stays with its folder, so that the repeat gets one of its own."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.RUN_NAME = ""
    cfg.freeze()
    return cfg


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".part")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def run_name(cfg: CfgNode) -> str:
    """RUN_NAME, or date and time."""
    return cfg.RUN_NAME or time.strftime("%Y-%m-%d_%H-%M-%S")


def describe_environment() -> list[str]:
    """Commit, Python, machine and library versions, one a line: what the bits of a result depend on."""
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    machine = f"machine {platform.system()} {platform.machine()}, {os.cpu_count()} cores, {threads} threads"
    return [f"commit {_commit()}", f"python {platform.python_version()}", machine, *map(_version, LIBRARIES)]


def _version(library: str) -> str:
    try:
        return f"{library} {importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{library} not installed"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    root = Path(__file__).resolve().parent.parent
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def print_result(text: str) -> None:
    """Print a result bare on standard output, where other programs read it, and keep it in the log file."""
    _note(text)
    sys.stdout.write(_printable(text) + "\n")
    sys.stdout.flush()


def _printable(text: str) -> str:
    """A text with escapes for what the terminal cannot show, such as a name in another alphabet or in no UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _note(text: str) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and handler.stream:
            with contextlib.suppress(OSError):  # the terminal has it
                handler.stream.write(text + "\n")
                handler.flush()


def exit_code(failed: Collection[str]) -> int:
    """0 if no case failed, else 1."""
    return SOME_FAILED if failed else ALL_GOOD
