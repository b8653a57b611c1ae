"""Puts the last figures and pictures into the docs: python -m benchmarks.page.

The tables of docs/performance.md lie between marks; the pictures go to docs/pictures.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.all import BENCHMARKS
from benchmarks.figures import FOLDER, load_figures, load_rows
from benchmarks.memory import ROOT
from utils.atomic import write_text

PAGE = ROOT / "docs" / "performance.md"
PICTURES = {  # by mark, with what someone is told who cannot see them
    "growth": "Seconds and peak memory of tiling and prediction against the side of the slide",
    "memory": "Resident memory over time while the largest slide is tiled and predicted",
    "overlap": "Dice against the dense reference over the pixels predicted, for several sizes of patch and overlaps",
    "peers": "Seconds, Dice and memory of this project, TIAToolbox and MONAI",
}


def figure_table(folder: Path) -> str:
    """All figures with their targets."""
    figures = [figure for name in BENCHMARKS for figure in load_figures(folder, name)]
    rows = [(*figure.line.split(), "yes" if figure.is_met else "**no**") for figure in figures]
    return markdown(("figure", "value", "target", "met"), rows)


def engine_table(folder: Path) -> str:
    """Seconds of each engine a million pixels."""
    rows = [row for row in load_rows(folder, "prediction") if row["what"] == "engine"]
    return markdown(
        ("engine", "seconds a million pixels"), [(row["engine"], f"{row['s_per_mpx']:.2f}") for row in rows]
    )


def peer_table(folder: Path) -> str:
    """Ours and the peers: time, memory, Dice."""
    rows = [
        (
            row["on"],
            row["who"],
            f"{median(row['seconds']):.1f}",
            str(round(row["peak_mb"])) if "peak_mb" in row else "",
            f"{row['dice']:.4f}",
        )
        for row in load_rows(folder, "peers")
    ]
    return markdown(("on", "who", "seconds", "peak MB", "Dice against the dense reference"), rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(text: str, blocks: dict[str, str]) -> str:
    """The page with each block between its marks."""
    for name, block in blocks.items():
        marked = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = marked.subn(lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text)
        assert count == 1, f"{PAGE.name} has {count} places for {name}"
    return text


def main(folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Renew tables and pictures."""
    blocks = {"figures": figure_table(folder), "engines": engine_table(folder), "compared": peer_table(folder)}
    for name, told in PICTURES.items():
        picture = f"performance_{name}.png"
        shutil.copy(folder / picture, page.parent / "pictures")
        blocks[name] = f"![{told}](pictures/{picture})"
    write_text(page, filled(page.read_text(encoding="utf-8"), blocks))


if __name__ == "__main__":
    main()
