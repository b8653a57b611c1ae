"""Names of slides and rows of tables that are no plain words."""

import csv
import os

from tests.reliability.inputs.truth import Check, labelled_slide, mask_is
from tests.reliability.room import GOOD, Room

LENGTHS = {"long": "o" * 300, "too long": "odd" + "o" * 218, "longest": "odd" + "o" * 217}


def named(room: Room, name: str) -> Check:
    """A slide of this name, with a row of the table."""
    name = LENGTHS.get(name, name)
    mask, text = labelled_slide(room, name)
    _add_row(room, [name, text])
    return _all_of(mask_is(lambda: mask, name), _inside)


def foreign_bytes(room: Room) -> None:
    """A slide whose name is not UTF-8."""
    labelled_slide(room, os.fsdecode(b"odd\xff"))


def row_alone(room: Room, name: str) -> Check:
    """A row of this id, which no slide has."""
    _add_row(room, [LENGTHS.get(name, name), "1 2"])
    return _inside


def id_alone(room: Room, name: str) -> Check:
    """A row of the table of ids, which no slide has."""
    _write_ids(room, [*GOOD, name])
    return _inside


def id_twice(room: Room) -> None:
    """A slide that the table of ids names twice."""
    _, text = labelled_slide(room)
    room.label(text)
    _write_ids(room, [*GOOD, "odd", "odd"])


def slide_alone(room: Room) -> None:
    """A slide without a row."""
    labelled_slide(room)


def with_endings(room: Room) -> None:
    """Two slides that differ in their ending."""
    _, text = labelled_slide(room)
    room.slide(suffix=".tif").write_bytes(room.slide().read_bytes())
    room.label(text)


def in_case(room: Room, disk: str) -> Check:
    """Two slides that differ in case, on a disk that keeps them apart or on one that does not."""
    masks = {}
    for name in ("odd", "Odd"):
        masks[name], text = labelled_slide(room, name)
        room.label(text if name == "odd" else "1 2", name)
    if disk == "ignores case":
        room.out.mkdir()
        (room.out / "LOG.TXT").touch()  # what such a disk answers when asked for the log
    masks["Odd"][:] = 0
    masks["Odd"][:2, 0] = 1
    return _all_of(*(mask_is(lambda mask=mask: mask, name) for name, mask in masks.items()))


def _write_ids(room: Room, names: list[str]) -> None:
    table = room.folder / "ids.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id"], *([name] for name in names)])
    room.options["DATASETS.ID_CSV"] = table


def _add_row(room: Room, cells: list[str]) -> None:
    with room.labels.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)


def _all_of(*checks: Check) -> Check:
    return lambda room: next(filter(None, (check(room) for check in checks)), "")


def _inside(room: Room) -> str:
    """Whether all that was written lies in the output folder."""
    own = {room.slides, room.weights, room.out, room.labels, room.folder / "ids.csv"}
    strange = [*set(room.folder.iterdir()) - own, *set(room.folder.parent.iterdir()) - {room.folder}]
    return f"wrote {strange}" if strange else ""
