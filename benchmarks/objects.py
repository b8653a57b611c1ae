"""Objects written as GeoJSON and table: speed, growth and memory: python -m benchmarks.objects [--quick]."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, options, save, size_name
from benchmarks.memory import Usage, measure

SIDES = {False: (4096, 8192, 16384), True: (1024, 2048)}  # the largest holds a million objects


def main(argv: Sequence[str]) -> None:
    """Measure each size, and the smallest one by way of the whole mask in memory."""
    args = options("Write the objects of masks of several sizes.").parse_args(argv)
    sides = SIDES[args.quick]
    rows = [write(args.folder, side, "strips") for side in sides]
    peer = write(args.folder, sides[0], "whole")
    least, most = rows[0], rows[-1]
    name = size_name(sides[-1])
    pace = [each["objects"] / each["seconds"] for each in (least, most)]
    figures = [
        Figure(f"objects_per_second_{name}", pace[1], ">10000"),
        Figure(f"objects_time_growth_{name}", pace[0] / pace[1], "<1.3"),
        Figure(f"objects_peak_mb_{name}", most["peak_mb"], "<400"),
        Figure(f"objects_peak_growth_{name}", most["peak_mb"] / least["peak_mb"], "<1.5"),
        Figure("objects_time_over_rasterio", least["seconds"] / peer["seconds"], "<2"),
    ]
    save(args.folder, "objects", figures, [*rows, peer])


def write(folder: Path, side: int, way: str) -> dict:
    """Objects, seconds and peak memory of one size."""
    usage: Usage = measure("-m", "benchmarks.objects_write", folder / "maps" / f"{size_name(side)}.zarr", side, way)
    row = {"side": side, "way": way, "peak_mb": usage.peak_mb, **usage.answer}
    print(f"objects {size_name(side)} {way}: {row['objects']} in {row['seconds']:.1f} s", flush=True)
    return row


if __name__ == "__main__":
    main(sys.argv[1:])
