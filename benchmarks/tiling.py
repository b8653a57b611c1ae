"""Cutting tiles: time over the floor and peak memory: python -m benchmarks.tiling [--quick]."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.figures import SIDES, Figure, options, ratio, save, size_name
from benchmarks.memory import ensure_slide, measure, tile_command

REPEATS = 3


def main(argv: Sequence[str]) -> None:
    """Measure each size, and one without a pyramid."""
    args = options("Cut slides of several sizes into tiles.").parse_args(argv)
    sides = SIDES[args.quick]
    figures, rows = [], []
    for side, *kind in [(sides[0],), (sides[1],), (sides[1], "flat"), *((side,) for side in sides[2:])]:
        home = ensure_slide(args.folder, side, *kind)
        rows.append({"side": side, "kind": kind, **cut(home, args.folder / "scratch" / "tiles")})
        name = "_".join((size_name(side), *kind))
        figures.append(Figure(f"tiling_over_floor_{name}", ratio(rows[-1]["seconds"], rows[-1]["floor"]), "<1.5"))
        figures.append(Figure(f"tiling_peak_mb_{name}", rows[-1]["peak_mb"], "<400"))
        print(
            f"tiling {name}: {median(rows[-1]['seconds']):.2f} s, floor {median(rows[-1]['floor']):.2f} s", flush=True
        )
    save(args.folder, "tiling", figures, rows)


def cut(home: Path, scratch: Path) -> dict:
    """One slide: the command's time, peak and memory over time, then cutting and the floor by turns."""
    command = measure(*tile_command(home, scratch))
    shutil.rmtree(scratch)
    compared = measure("-m", "benchmarks.tiling_floor", home, REPEATS).answer
    return {"command_s": command.seconds, "peak_mb": command.peak_mb, "curve": command.curve, **compared}


if __name__ == "__main__":
    main(sys.argv[1:])
