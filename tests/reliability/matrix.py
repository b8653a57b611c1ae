"""The matrix of promises: rows of YAML files, each an input, what is run on it, and how that must end.

A row holds `case`, its name; `make`, a function of `inputs`, or that with what it is called with besides the room;
`run`, steps that each begin in a new room; `code`, the exit code; `words`, all of which must be said. A function of
`inputs` may return a check: a function of the room that names what is wrong after a step, or gives "".
`run` may instead be a function of `faults`, which gives what was seen itself; it is called with the folder and what
`make`, if there is one, gives without a room. `code` may then be the status of an answer of the web API.
`slow` leaves a row to `make test`.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from config.run import ALL_GOOD, BAD_CONFIG, SOME_FAILED
from tests.reliability.room import GOOD, ODD, Room, furnish, products
from tests.reliability.steps import ROOMS, STEPS, Seen

ROWS = Path(__file__).parent / "matrix"
LEAST_STATUS = 200
Check = Callable[[Room], str]


@dataclass(frozen=True)
class Case:
    """One step of one row."""

    group: str
    name: str
    run: str
    code: int
    words: tuple[str, ...] = ()
    make: str = ""
    given: tuple[object, ...] = ()
    slow: bool = False

    @property
    def expected(self) -> str:
        """What must be seen."""
        return " ".join([ended(self.code), *map(repr, self.words)])


@dataclass(frozen=True)
class Outcome:
    """What was seen of a case; `wrong` is empty if it is as promised."""

    case: Case
    seen: str
    wrong: str


def load_matrix() -> list[Case]:
    """All cases, in the order of their files' names."""
    return [
        case
        for path in sorted(ROWS.glob("*.yaml"))
        for row in yaml.safe_load(path.read_text(encoding="utf-8"))
        for case in _cases(path.stem, row)
    ]


def _cases(group: str, row: dict) -> Iterator[Case]:
    make, given = row.get("make", ""), ()
    if isinstance(make, dict):
        ((make, value),) = make.items()
        given = tuple(value) if isinstance(value, list) else (value,)
    runs = row["run"] if isinstance(row["run"], list) else [row["run"]]
    for run in runs:
        yield Case(
            group, row["case"], run, row["code"], tuple(row.get("words", ())), make, given, row.get("slow", False)
        )


def examine(case: Case, folder: Path) -> Outcome:
    """Run a case in a new folder."""
    if case.run not in STEPS:  # a fault: it has its own room, and its own idea of what is right
        made = [_named("inputs", case.make)(*case.given)] if case.make else []
        seen = _named("faults", case.run)(folder, *made)
        return Outcome(case, _line(case, seen), _difference(case, seen))
    room = ROOMS.get(case.run, furnish)(folder)
    check: Check | None = _named("inputs", case.make)(room, *case.given) if case.make else None
    seen = STEPS[case.run](room)
    wrong = _difference(case, seen) or _harm(case, room) or (check(room) if check else "")
    return Outcome(case, _line(case, seen), wrong)


def ended(code: int) -> str:
    """An exit code, or the status of an answer of the web API, which is larger than any of those."""
    return f"status {code}" if code >= LEAST_STATUS else f"exit {code}"


def _named(package: str, name: str) -> Callable:
    module, function = name.rsplit(".", 1)
    return getattr(importlib.import_module(f"tests.reliability.{package}.{module}"), function)


def _line(case: Case, seen: Seen) -> str:
    """Exit code and the line that says most of what is expected."""
    lines = seen.text.splitlines() or [""]
    told = max(lines, key=lambda line: sum(word in line for word in case.words)) if case.words else ""
    return f"{ended(seen.code)} {told}".strip()


def _difference(case: Case, seen: Seen) -> str:
    missing = [word for word in case.words if word not in seen.text]
    if seen.code != case.code:
        return f"{ended(seen.code)} in place of {case.code}: {seen.text[-600:]}"
    return f"never says {missing}: {seen.text[-600:]}" if missing else ""


def _harm(case: Case, room: Room) -> str:
    """What a step did that no case may: to the other cases, or in the name of a failed one."""
    if case.code == BAD_CONFIG:
        return f"wrote {sorted(room.out.rglob('*'))[:3]}" if room.out.exists() else ""
    if case.code not in (ALL_GOOD, SOME_FAILED):
        return ""
    scale = tuple((key, value) for key, value in room.options.items() if key.startswith("TILES."))
    changed = [name for name in GOOD if products(room.out, name) != good_products(case.run, scale)[name]]
    if changed:
        return f"other products of {changed}"
    made = sorted(products(room.out, ODD))
    return f"made {made} of a case that failed" if case.code == SOME_FAILED and made else ""


@cache
def good_products(run: str, scale: tuple[tuple[str, object], ...] = ()) -> dict[str, dict[str, str]]:
    """What a step makes of the good cases when nothing is wrong, with these options of the tiles."""
    with TemporaryDirectory() as folder:
        room = ROOMS.get(run, furnish)(Path(folder) / "room")
        room.options |= dict(scale)
        seen = STEPS[run](room)
        assert seen.code == ALL_GOOD, seen.text
        found = {name: products(room.out, name) for name in GOOD}
    assert all(found.values())
    return found
