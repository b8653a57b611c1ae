"""Things under the name of a slide that are no files of the slides' folder, or none that can be read."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import tifffile

from tests.reliability.inputs.results import Check, shows
from tests.reliability.room import GOOD, Room, draw, write_slide
from utils.rle import encode_rle

CAP_VERSION = 0x20080522  # of linux/capability.h
READS_ALL = {1, 2}  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with these, root reads and writes everything


def link_out_of_the_root(room: Room) -> Check:
    """A link to a slide that lies elsewhere: whoever filled the folder wants it read."""
    image, mask = draw(7)
    other = room.folder / "elsewhere" / "slide of another name.tiff"
    other.parent.mkdir()
    write_slide(other, image)
    room.slide().symlink_to(other)
    room.label(encode_rle(mask))
    return shows(image, mask)


def dangling(room: Room) -> None:
    """A link to nothing."""
    room.slide().symlink_to(room.folder / "nowhere.tiff")
    room.label("1 2")


def circle(room: Room) -> None:
    """A link to itself."""
    room.slide().symlink_to(room.slide())
    room.label("1 2")


def pipe(room: Room) -> None:
    """A named pipe, which gives nothing and never ends."""
    os.mkfifo(room.slide())
    room.label("1 2")


def folder(room: Room) -> None:
    """A folder with a slide's name; there is a slide in it."""
    room.slide().mkdir()
    write_slide(room.slide() / "slide.tiff", draw(7)[0])
    room.label("1 2")


def unreadable(room: Room) -> None:
    """A good slide that nobody may read, not even root."""
    write_slide(room.slide(), draw(7)[0])
    room.slide().chmod(0)
    room.label("1 2")
    room.around.append(as_a_user)


def labels_in(room: Room, kind: str) -> None:
    """The label file of the odd slide is a pipe, a link to itself or unreadable; the others have masks."""
    write_slide(room.slide(), draw(7)[0])
    labels = room.folder / "outlines"
    labels.mkdir()
    for seed, name in enumerate(GOOD):
        tifffile.imwrite(labels / f"{name}.tif", draw(seed)[1])
    odd = labels / "odd.geojson"
    odd.write_text(SQUARE)
    if kind == "unreadable":
        odd.chmod(0)
        room.around.append(as_a_user)
    else:
        odd.unlink()
        os.mkfifo(odd) if kind == "pipe" else odd.symlink_to(odd)
    room.options |= {"DATASETS.LABELS_CSV": "", "DATASETS.LABELS_FOLDER": labels}


SQUARE = """{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"classification": "object"},
"geometry": {"type": "Polygon", "coordinates": [[[60, 50], [120, 50], [120, 99], [60, 99], [60, 50]]]}}]}"""


@contextmanager
def as_a_user() -> Iterator[None]:
    """Let the modes of files bind this thread and those that it begins, also where it runs as root."""
    with _without(READS_ALL) if os.geteuid() == 0 else nullcontext():
        yield


@contextmanager
def _without(powers: set[int]) -> Iterator[None]:
    libc, head, data = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(CAP_VERSION, 0), (ctypes.c_uint32 * 6)()
    _call(libc.capget, head, data)
    effective = data[0]
    data[0] = effective & ~sum(1 << power for power in powers)
    _call(libc.capset, head, data)
    try:
        yield
    finally:
        data[0] = effective
        _call(libc.capset, head, data)


def _call(function: ctypes._CFuncPtr, *arguments: object) -> None:
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
