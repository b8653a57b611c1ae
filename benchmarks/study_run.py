"""One cell of a study - a row with a seed - as a process of train_net.py in a folder of its own, and its scores."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import ROOT
from benchmarks.study_score import score_run
from benchmarks.study_table import Options, Row, StudyTable, words
from config import ConfigError, load_cfg
from config.resume import STATES
from utils.atomic import atomic_path, write_text

TRAINED = ("weights", "history.csv", "history.png", "folds.csv", "folds.png", "versions.txt")
RESULT = "result.json"
EPOCHS = "SOLVER.EPOCHS"  # those of the table are of a full run of the base


class CellError(RuntimeError):
    """A process of the study that failed, with the last words of its log."""


@dataclass(frozen=True)
class Study:
    """A table of rows, the folder of its runs, and the share of the images that a full run of the base sees."""

    table: StudyTable
    folder: Path
    budget: float = 1.0

    def run_folder(self, row: Row, seed: int) -> Path:
        """Where a cell is trained and evaluated."""
        return self.folder / f"x{self.budget:g}" / f"seed{seed}" / row.name

    def cell_options(self, row: Row, seed: int, epochs: int, prepared: Options) -> dict[str, str]:
        """All options of a cell."""
        folder = self.run_folder(row, seed)
        own = {"SEED": str(seed), EPOCHS: str(epochs), "OUTPUT_DIR": str(folder.parent), "RUN_NAME": row.name}
        return {**self.table.options_of(row), **prepared, **own}

    def run(self, row: Row, seed: int) -> dict:
        """The result of a cell, as it is on disk or else from training or going on; raises CellError."""
        prepared, epochs = self.prepare(row)
        options, folder = self.cell_options(row, seed, epochs, prepared), self.run_folder(row, seed)
        known = read_stamp(folder / RESULT, options)
        if known:
            return known
        trainer = self.table.trainer_of(row)
        if trainer is not row:
            borrow(self.run_folder(trainer, seed), folder, options)
        spent = call(["train_net.py", "--resume", "auto", *words(options)], folder.with_name(f"{row.name}.txt"))
        result = {"row": row.name, "seed": seed, "epochs": epochs, **score_run(folder), "process_seconds": spent}
        write_stamp(folder / RESULT, options, result)
        return result

    def results(self) -> list[dict]:
        """The results of all cells that were ever finished with the options that the table has now, seed by seed."""
        found, places = [], {row.name: place for place, row in enumerate(self.table.rows)}
        for path in self.folder.glob(f"x{self.budget:g}/seed*/*/{RESULT}"):
            content = json.loads(path.read_text(encoding="utf-8"))
            had = content.pop("options")
            row = places.get(content["row"])
            now = {} if row is None else self.table.options_of(self.table.rows[row]) | {EPOCHS: had.get(EPOCHS, "")}
            if now and now.items() <= had.items():
                found.append(content)
        return sorted(found, key=lambda each: (each["seed"], places[each["row"]]))

    def prepare(self, row: Row) -> tuple[dict[str, str], int]:
        """Tiles of a row, or the table of its pairs, made once, as options; and the epochs of its budget."""
        options = self.table.options_of(row)
        if load_cfg("", words(options)).DATASETS.LAYOUT == "pairs":
            return self._list_pairs(options), self._epochs(row, 1.0)
        prepared, pixels = self._cut(options)
        _, base = self._cut(self.table.options_of(self.table.base))
        return prepared, self._epochs(row, base / pixels)

    def _epochs(self, row: Row, share: float) -> int:
        full = load_cfg("", words(self.table.options_of(row))).SOLVER.EPOCHS
        return max(1, round(full * self.budget * share / row.images))

    def _cut(self, options: Options) -> tuple[dict[str, str], int]:
        """The folder of the tiles of these options, and how many pixels they have together."""
        own, base = _cutting(options), _cutting(self.table.options_of(self.table.base))
        slug = ",".join(f"{key}={value}" for key, value in own.items() if base.get(key) != value) or "plain"
        folder = self.folder / "tiles" / slug.replace("/", "_")
        prepared, stamp = {"DATASETS.TRAIN_FOLDER": str(folder)}, folder / RESULT
        if not read_stamp(stamp, own):
            call(["tiles_creator.py", *words({**own, **prepared})], folder.with_name(f"{folder.name}.txt"))
            from data.patches.tiles import build_tile_folder, read_tiles

            tiles = build_tile_folder(load_cfg("", words({**own, **prepared})))
            write_stamp(stamp, own, {"pixels": len(read_tiles(tiles)[0]) * tiles.size**2})
        return prepared, read_stamp(stamp, own)["pixels"]

    def _list_pairs(self, options: Options) -> dict[str, str]:
        """The table of the pairs' ids, in which copies of a picture share a group."""
        own = {key: value for key, value in options.items() if key.startswith("DATASETS.")}
        path, stamp = self.folder / "ids.csv", self.folder / "ids.json"
        if not read_stamp(stamp, own):
            call(["-m", "apps.list_pairs", str(path), *words(own)], path.with_suffix(".txt"))
            write_stamp(stamp, own, {"path": str(path)})
        return {"DATASETS.ID_CSV": str(path)}


def _cutting(options: Options) -> dict[str, str]:
    """The options that tiles depend on."""
    kept = ("DATASETS.", "TILES.", "INPUT.SIZE_TRAIN", "MODEL.IN_CHANNELS")
    return {key: value for key, value in options.items() if key.startswith(kept)}


def borrow(trained: Path, folder: Path, options: Options) -> None:
    """Make a run that has the networks of another one and goes on with predicting, unless it is there already."""
    if folder.exists():
        return
    with atomic_path(folder) as draft:
        (draft / STATES).mkdir(parents=True)
        pictures = [path.name for path in trained.glob("samples_fold*.png")]  # the sign that a fold is done with
        for name in (*TRAINED, *pictures):
            if (trained / name).is_dir():
                shutil.copytree(trained / name, draft / name, copy_function=os.link)  # files are replaced, not changed
            elif (trained / name).exists():
                shutil.copy(trained / name, draft / name)
        (draft / "config.yaml").write_text(load_cfg("", words(options)).dump(sort_keys=False), encoding="utf-8")


def call(command: Sequence[str], log: Path) -> float:
    """Run a script of the project with its words in a log; the seconds it took. Raises CellError if it fails.

    Whatever ends this process ends the script first, which keeps its state.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code:
        raise CellError(f"{command[0]} ended with {code}: {log.read_text(encoding='utf-8').strip()[-400:]} ({log})")
    return time.monotonic() - begun


def write_stamp(path: Path, options: Options, content: Mapping[str, object]) -> None:
    """Keep what came of these options."""
    write_text(path, json.dumps({"options": dict(options), **content}, indent=1) + "\n")


def read_stamp(path: Path, options: Options) -> dict:
    """What came of these options, empty if nothing yet; raises ConfigError if it came of others."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    before = content.pop("options")
    changed = sorted(key for key in {*before, *options} if before.get(key) != options.get(key))
    if changed:
        was = ", ".join(f"{key} {before.get(key, '(not given)')}" for key in changed)
        raise ConfigError([f"{path.parent} was made with {was}; remove it, or choose another --folder"])
    return content
