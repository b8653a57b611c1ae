"""Writing a file or a folder so that its final name never holds a part of it."""

import contextlib
import ctypes
import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # what a write says where there is no room
PROBE_BYTES = 2**20
ROOM = re.compile(r"\.(.+)-[a-z0-9_]{8}")  # what holds a draft
OF_SAFETENSORS = ".tmp"  # how its own drafts of a draft begin


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise.

    The block may write a file or make a folder there. Either is synced to disk first; a folder that stood at `path`
    is replaced whole. Where the disk is full, the OSError names `path`.
    """
    with named_if_full(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        room = path.parent / f".{path.name[:60]}-{os.urandom(4).hex()}"
        draft = room / path.name
        try:
            room.mkdir(0o700)  # within the block: a signal may come right after it
            yield draft
            if draft.is_dir():
                _replace_folder(draft, path, room)
            else:
                _sync(draft)
                os.replace(draft, path)
        except Exception as error:
            if getattr(error, "errno", None) is None:  # Pillow's and others' errors do not tell of a full disk
                (room / "probe").write_bytes(bytes(PROBE_BYTES))
            raise
        finally:
            _remove(room)


@contextmanager
def named_if_full(path: Path) -> Iterator[None]:
    """Have the OSError of a full disk name `path`: by itself it names nothing, or a draft."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            error.filename, error.filename2 = str(path), None
        raise


def clear_drafts(folder: Path) -> None:
    """Remove what killed processes left below a folder that `atomic_path` would have cleared away.

    A hidden folder that holds anything but a draft is left alone; so are maps, which hold no drafts.
    """
    for place, folders, _ in os.walk(folder):
        rooms = [name for name in folders if _is_room(Path(place) / name)]
        for name in rooms:
            shutil.rmtree(Path(place) / name, ignore_errors=True)
        folders[:] = [name for name in folders if name not in rooms and not name.endswith(".zarr")]


@contextmanager
def without_drafts(folder: Path) -> Iterator[None]:
    """Clear drafts away before the block, and after it if it ends in an error, when no thread writes any more."""
    clear_drafts(folder)
    try:
        yield
    except BaseException:
        clear_drafts(folder)
        raise


def _remove(room: Path) -> None:
    try:
        shutil.rmtree(room, ignore_errors=True)
    except BaseException:  # a signal in the middle of it
        shutil.rmtree(room, ignore_errors=True)
        raise


def _is_room(path: Path) -> bool:
    match = ROOM.fullmatch(path.name)
    if match is None or path.is_symlink():
        return False
    with contextlib.suppress(OSError):
        # a draft may have a draft of its own beside it
        return all(each.startswith((match[1], f".{match[1]}-", OF_SAFETENSORS)) for each in os.listdir(path))
    return False


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 in one step."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes | bytearray) -> None:
    """Write `content` to `path` in one step; it reaches the disk when the system likes, or by `sync_folder`.

    For files by the thousand, that something else commits.
    """
    draft = path.with_name(f".{path.name}")
    try:
        with named_if_full(path):
            draft.write_bytes(content)
            os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring to disk all that was written to the file system of a folder."""
    sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if sync is None:
        os.sync()
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        if sync(file):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(file)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _replace_folder(draft: Path, path: Path, room: Path) -> None:
    for each in draft.rglob("*"):
        if each.is_file():
            _sync(each)
    if path.exists():
        os.replace(path, room / f"{path.name}~")
    os.replace(draft, path)
