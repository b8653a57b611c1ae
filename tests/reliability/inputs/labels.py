"""Run lengths, and the table that holds them."""

from collections.abc import Callable

from tests.reliability.inputs.truth import Check, labelled_slide, mask_is, painted
from tests.reliability.room import GOOD, Room


def runs(room: Room, text: str) -> Check:
    """These run lengths for a good slide."""
    labelled_slide(room)
    room.label(text)
    return mask_is(lambda: painted(text.strip('"')))


def zero_byte(room: Room) -> None:
    """A byte of zero within the run lengths."""
    labelled_slide(room)
    room.label("1 2\0 3 4")


def named_by_lines(room: Room) -> None:
    """A wrong row after empty lines and a row of two lines."""
    labelled_slide(room)
    room.labels.write_bytes(room.labels.read_bytes().replace(b"\nright,", b'\n\nright,"').rstrip() + b'\n"\n')
    room.label("1 2 3")


def rewritten(room: Room, how: str) -> Check:
    """A table that another program might have written of the same labels."""
    mask, text = labelled_slide(room)
    room.label(text)
    room.labels.write_bytes(WAYS[how](room.labels.read_text()))
    return mask_is(lambda: mask)


def _quoted(table: str) -> bytes:
    """Each cell in quotes, the run lengths on several lines."""
    rows = [line.split(",") for line in table.splitlines()]
    return "".join(f'"{first}","{second.replace(" ", chr(10), 3)}"\n' for first, second in rows).encode()


def _classes(table: str) -> bytes:
    """The odd slide of a class that there is none of."""
    rows = [line.split(",") for line in table.splitlines()[1:]]
    lines = [f"{name},{'object' if name in GOOD else 'vessel'},{text}" for name, text in rows]
    return "\n".join(["id,class,encoding", *lines]).encode()


def _twice(table: str) -> bytes:
    return "\n".join(f"{line},{line.split(',')[1]}" for line in table.splitlines()).encode()


WAYS: dict[str, Callable[[str], bytes]] = {
    "mark": lambda table: table.encode("utf-8-sig"),
    "crlf": lambda table: table.replace("\n", "\r\n").encode(),
    "cr": lambda table: table.replace("\n", "\r").encode(),
    "empty lines": lambda table: table.replace("\n", "\n\n").encode(),
    "quoted": _quoted,
    "more columns": lambda table: table.replace("\n", ",seen\n").encode(),
    "semicolons": lambda table: table.replace(",", ";").encode(),
    "tabs": lambda table: table.replace(",", "\t").encode(),
    "utf-16": lambda table: table.encode("utf-16"),
    "cp1251": lambda table: (table + "срез,1 2\n").encode("cp1251"),
    "bytes": lambda table: bytes(range(256)) * 8,
    "other column": lambda table: table.replace("encoding", "rle").encode(),
    "column twice": _twice,
    "no header": lambda table: table.partition("\n")[2].encode(),
    "empty": lambda table: b"",
    "header only": lambda table: table.partition("\n")[0].encode(),
    "id twice": lambda table: (table + table.splitlines()[-1]).encode(),
    "open quote": lambda table: table.replace("odd,", 'odd,"').encode(),
    "row cut off": lambda table: table[: table.index("odd,") + 3].encode(),
    "cell too many": lambda table: (table.rstrip() + ",1 2\n").encode(),
    "unknown class": _classes,
}
