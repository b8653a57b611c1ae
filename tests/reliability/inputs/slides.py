"""Slides that are damaged, huge, odd or no slides."""

from tests.reliability.room import Room


def zero_bytes(room: Room) -> None:
    """A file without content."""
    room.slide().touch()
    room.label("1 2")
