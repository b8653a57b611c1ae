"""Time and peak memory of commands: python -m benchmarks.memory [SIDE ...] measures tiling and prediction of slides.

This process stays small and imports no array library, since a child's peak counts its parent's size too.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread

from benchmarks.figures import FOLDER, size_name

ROOT = Path(__file__).resolve().parents[1]
EVERY_S = 0.2
IMPORTS = ("-c", "import torch, segmentation_models_pytorch")


@dataclass(frozen=True)
class Usage:
    """What a process took: wall time, peak of its resident memory, and that memory over time."""

    seconds: float
    peak_mb: float
    curve: list[tuple[float, float]]
    output: str

    @property
    def answer(self) -> dict:
        """The JSON in the last line that it printed."""
        return json.loads(self.output.splitlines()[-1])


def measure(*command: object, python: str = sys.executable) -> Usage:
    """Run Python with a command in the project's folder; raises RuntimeError with its last lines where it fails."""
    words, curve, begun = [python, *map(str, command)], [], time.monotonic()
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=errors)
        watch = Thread(target=_watch, args=(process.pid, begun, curve))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
        said, complained = (file.seek(0) or file.read() for file in (output, errors))
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}:\n{(said + complained)[-3000:]}")
    return Usage(seconds, usage.ru_maxrss / 1024, curve, said)


def _watch(pid: int, begun: float, curve: list[tuple[float, float]]) -> None:
    """Note the resident memory of a process as (seconds, MB) until it has ended."""
    while True:
        try:
            lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        resident = [int(line.split()[1]) for line in lines if line.startswith("VmRSS")]
        curve += [(round(time.monotonic() - begun, 2), round(kb / 1024, 1)) for kb in resident]
        time.sleep(EVERY_S)


def ensure_slide(folder: Path, side: int, *kind: str) -> Path:
    """Folder of a benchmark slide and its labels; `kind` is of 'flat' (no pyramid) and 'glass'."""
    home = folder / "slides" / "_".join((size_name(side), *kind))
    if not (home / "labels.csv").exists():
        measure("-m", "benchmarks.big_slide", home, side, *(f"--{each}" for each in kind))
    return home


def ensure_weights(folder: Path) -> Path:
    """Folder of the weights of the benchmarks, which are trained on the first call."""
    if not (folder / "weights" / "fold0.safetensors").exists():
        print("training the network of the benchmarks, once", flush=True)
        measure("-m", "benchmarks.network", folder / "weights")
    return folder / "weights"


def tile_command(home: Path, target: Path) -> list[object]:
    """Command that cuts a benchmark slide into tiles."""
    source = ["DATASETS.WSI_FOLDER", home / "slides", "DATASETS.LABELS_CSV", home / "labels.csv"]
    return ["tiles_creator.py", *source, "DATASETS.TRAIN_FOLDER", target]


def prediction_command(home: Path, weights: Path, target: Path) -> list[object]:
    """Command that predicts a benchmark slide."""
    source = ["TEST.WSI_FOLDER", home / "slides", "TEST.MODEL_WEIGHTS_FOLDER", weights]
    return ["test_net.py", *source, "TEST.OUTPUT_DIR", target]


def main(argv: Sequence[str]) -> None:
    """Print one line a step and slide."""
    for side in [int(word) for word in argv] or [16384]:
        home, weights, scratch = ensure_slide(FOLDER, side), ensure_weights(FOLDER), FOLDER / "scratch"
        for step, command in {
            "imports": IMPORTS,
            "tiling": tile_command(home, scratch / "tiles"),
            "prediction": prediction_command(home, weights, scratch / "test"),
        }.items():
            usage = measure(*command)
            print(f"{step} {side}: {usage.seconds:.1f} s, peak {usage.peak_mb:.0f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
