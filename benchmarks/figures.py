"""What a benchmark leaves: figures with targets and rows of measurements, as JSON in the folder of the benchmarks."""

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).resolve().parents[1] / "output" / "benchmarks"
SIDES = {False: (8192, 16384, 32768, 65536), True: (2048, 4096)}  # in full and quick


@dataclass(frozen=True)
class Figure:
    """A number that is compared with a target such as `<1.25` or `>3`; a name holds no white space."""

    name: str
    value: float
    target: str

    @property
    def line(self) -> str:
        """Name, value and target in three columns."""
        return f"{self.name} {self.value:.4g} {self.target}"

    @property
    def is_met(self) -> bool:
        """Whether the value lies on the right side of the target."""
        limit = float(self.target[1:])
        return self.value < limit if self.target[0] == "<" else self.value > limit


def options(description: str) -> argparse.ArgumentParser:
    """The command line that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--folder", type=lambda word: Path(word).resolve(), default=FOLDER, help="where slides, weights and results lie"
    )
    parser.add_argument("--quick", action="store_true", help="the smallest slides, to see that all works")
    return parser


def size_name(side: int) -> str:
    """8192 as 8k."""
    return f"{side // 1024}k"


def save(folder: Path, benchmark: str, figures: Sequence[Figure], rows: Sequence[Mapping[str, object]]) -> None:
    """Write <benchmark>.json and print the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"figures": [asdict(figure) for figure in figures], "rows": list(rows)}
    (folder / f"{benchmark}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for figure in figures:
        print(figure.line, flush=True)


def load_figures(folder: Path, benchmark: str) -> list[Figure]:
    """Figures of a benchmark, or none if it left none."""
    return [Figure(**values) for values in _load(folder, benchmark)["figures"]]


def load_rows(folder: Path, benchmark: str) -> list[dict]:
    """Measurements of a benchmark, or none if it left none."""
    return _load(folder, benchmark)["rows"]


def _load(folder: Path, benchmark: str) -> dict:
    path = folder / f"{benchmark}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"figures": [], "rows": []}


def write_table(folder: Path, figures: Sequence[Figure]) -> None:
    """Write figures.csv."""
    with (folder / "figures.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("name", "value", "target"), *(figure.line.split() for figure in figures)])


def ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """Median of the ratios of measurements taken in turn."""
    return median(a / b for a, b in zip(first, second, strict=True))
