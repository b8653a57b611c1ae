"""Writing a file or a folder so that its final name never holds a part of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise.

    The block may write a file or make a folder there. A file is synced to disk first; a folder that stood at `path`
    is replaced whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{path.name[:60]}-", dir=path.parent))
    draft = room / path.name
    try:
        yield draft
        if draft.is_dir():
            _replace_folder(draft, path, room)
        else:
            _sync(draft)
            os.replace(draft, path)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def clear_drafts(folder: Path) -> None:
    """Remove what killed processes left below a folder that `atomic_path` would have cleared away."""
    for room in [path for path in folder.rglob(".*-*") if path.is_dir()]:
        shutil.rmtree(room, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 in one step."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _replace_folder(draft: Path, path: Path, room: Path) -> None:
    if path.exists():
        os.replace(path, room / f"{path.name}~")
    os.replace(draft, path)
