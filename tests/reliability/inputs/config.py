"""Configs and command lines that cannot work, or that a stranger wrote to do harm."""

import os
from collections.abc import Callable

from tests.reliability.room import Room

MARK = "executed"  # a file that no config may make


def option(room: Room, key: str, value: object) -> None:
    """An option of another value."""
    room.options[key] = value


def said(room: Room, *words: str) -> None:
    """Further words on the command line."""
    room.words += words


def file(room: Room, text: str) -> Callable[[Room], str]:
    """A config file of some text, in which MARK stands for a file that only executed code would make."""
    marker = room.folder / MARK
    _name(room).write_text(text.replace("MARK", str(marker)), encoding="utf-8")
    return lambda room: f"{MARK} was made" if marker.exists() else ""


def no_file(room: Room) -> None:
    """A config file that is not there."""
    _name(room)


def folder(room: Room) -> None:
    """A folder for a config file."""
    _name(room).mkdir()


def binary(room: Room) -> None:
    """Bytes that are no text."""
    _name(room).write_bytes(bytes(range(256)))


def huge(room: Room) -> None:
    """A config of 100 megabytes, of which the disk holds none."""
    _name(room).touch()
    os.truncate(_name(room), 100 * 2**20)


def laughs(room: Room) -> None:
    """Few lines that stand for 10^12 values."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 13))]
    file(room, "\n".join([*lines, "SOLVER: {FOLDS: *a12}"]))


def deep(room: Room) -> None:
    """Lists in lists in lists."""
    file(room, f"SOLVER: {{FOLDS: {'[' * 9999}{']' * 9999}}}")


def _name(room: Room):
    room.words += ["--config-file", str(room.folder / "odd.yaml")]
    return room.folder / "odd.yaml"
