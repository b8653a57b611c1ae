"""Places where nothing can be written, or not for long."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from unittest import mock

import data.stitching.case
from data.patches import tiles
from tests.reliability.inputs.files import as_a_user
from tests.reliability.inputs.results import Check
from tests.reliability.matrix import good_products
from tests.reliability.room import Room, products

OUT = ("DATASETS.TRAIN_FOLDER", "TEST.OUTPUT_DIR")


def a_file_in_its_place(room: Room) -> None:
    """A file that is called as the output folder."""
    room.out.write_text("mine")


def below_a_file(room: Room) -> None:
    """An output folder below a file."""
    _write_to(room, room.labels / "out")


def in_proc(room: Room) -> None:
    """An output folder where the system lets nobody make one."""
    _write_to(room, Path("/proc/run"))


def read_only(room: Room) -> Check:
    """An output folder that is there and must not be written to."""
    room.out.mkdir()
    room.out.chmod(0o555)
    room.around.append(as_a_user)
    return lambda room: _nothing(room)


def removed(room: Room, what: str) -> Check:
    """The output folder, or that of the tiles, is removed when the second case is begun."""
    room.around.append(lambda: _removing(room, what))
    return _nothing_whole


def small_files(room: Room, limit_bytes: int) -> Check:
    """No file may grow beyond a limit, as on a disk that is full."""
    room.around.append(lambda: _limit(limit_bytes))
    return _nothing_partial


def _write_to(room: Room, folder: Path) -> None:
    room.options |= dict.fromkeys(OUT, folder)


def _nothing(room: Room) -> str:
    found = sorted(room.out.rglob("*"))
    return f"there is {found[:3]}" if found else ""


def _nothing_whole(room: Room) -> str:
    """An index of tiles or a table of a run that lost its files is left out."""
    found = [path for name in ("tiles.csv", "output.csv", "failures.csv") for path in room.out.rglob(name)]
    return f"there is {found}" if found else ""


def _nothing_partial(room: Room) -> str:
    """No draft, no index of tiles, and no product of a case but what a run without trouble makes of it."""
    drafts = [path for path in room.out.rglob(".*-*") if path.is_dir()]
    index = list(room.out.rglob("tiles.csv"))
    whole = {} if room.out.joinpath("images_64_red1").exists() else good_products("predict")
    cut = [
        place
        for name, products_of in whole.items()
        for place, product in products(room.out, name).items()
        if product != products_of[place]
    ]
    return f"there is {[*drafts, *index][:3]}, {cut[:3]} is partial" if drafts or index or cut else ""


@contextmanager
def _limit(limit_bytes: int) -> Iterator[None]:
    before = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        setrlimit(RLIMIT_FSIZE, before)


@contextmanager
def _removing(room: Room, what: str) -> Iterator[None]:
    begun: list[str] = []

    def then(real: Callable) -> Callable:
        def call(*arguments: object, **options: object) -> object:
            begun.append("case")
            if len(begun) == 2:
                (room.folder / "gone").mkdir()
                for path in list(room.folder.glob(what)):
                    path.rename(room.folder / "gone" / path.name)  # at once, whatever other threads write into it
                shutil.rmtree(room.folder / "gone", ignore_errors=True)
            return real(*arguments, **options)

        return call

    cut, plan = tiles.cut_case, data.stitching.case.OpenedCase.predict
    with (
        mock.patch.object(tiles, "cut_case", then(cut)),
        mock.patch.object(data.stitching.case.OpenedCase, "predict", then(plan)),
    ):
        yield
