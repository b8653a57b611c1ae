"""What only looks: --help and --dry-run, which must leave every file as it was."""

import contextlib
import hashlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path

import train_net
from tests.reliability.inputs.slides import zero_bytes
from tests.reliability.room import Room, furnish
from tests.reliability.steps import Seen, call, options_of_tiles, predict, tile

PROGRAMS = ["tiles_creator", "train_net", "test_net", "export_net", "serve_net", "apps.segment", "apps.fetch_data"]
TOUCHED = 99  # an exit code that no script has


def help_of_all(folder: Path) -> Seen:
    """--help of every program, in an empty folder."""
    room = Room(folder)
    folder.mkdir()
    mains = [importlib.import_module(name).main for name in PROGRAMS]
    with contextlib.chdir(folder):
        seen = [call(main, Room(folder, words=["--help"]), {}) for main in mains]
    return _untouched(room, {}, Seen(max(each.code for each in seen), "\n".join(each.text for each in seen)))


def dry_tile(folder: Path) -> Seen:
    """Tiling of good slides."""
    return _dry(furnish(folder), tile)


def dry_predict(folder: Path) -> Seen:
    """Prediction of good slides."""
    return _dry(furnish(folder), predict)


def dry_predict_odd(folder: Path) -> Seen:
    """Prediction with a slide of no bytes among them."""
    room = furnish(folder)
    zero_bytes(room)
    return _dry(room, predict)


def dry_predict_nothing(folder: Path) -> Seen:
    """Prediction with an option that cannot work."""
    room = furnish(folder)
    room.options["TEST.TH"] = 2
    return _dry(room, predict)


def dry_train(folder: Path) -> Seen:
    """Training on good slides and one of no bytes."""
    room = furnish(folder)
    tile(room)
    zero_bytes(room)
    options = options_of_tiles(room) | {
        "MODEL.ARCHITECTURE": "UneXt18",
        "SOLVER.N_FOLDS": 2,
        "OUTPUT_DIR": room.folder / "runs",
    }
    return _dry(room, lambda room: call(train_net.main, room, options))


def _dry(room: Room, step: Callable[[Room], Seen]) -> Seen:
    room.words.append("--dry-run")
    before = _tree(room.folder)
    with contextlib.chdir(room.folder):
        return _untouched(room, before, step(room))


def _untouched(room: Room, before: dict[str, str], seen: Seen) -> Seen:
    after = _tree(room.folder)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    return Seen(TOUCHED, f"touched {changed}: {seen.text}") if changed else seen


def _tree(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b"folder"
        found[os.fspath(path)] = f"{path.stat().st_mtime_ns} {hashlib.sha256(content).hexdigest()}"
    return found
