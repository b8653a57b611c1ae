"""Prediction: time over the forward passes, patches over tissue, memory, start, glass, engines.

python -m benchmarks.prediction [--quick]
"""

import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from math import pi
from pathlib import Path
from statistics import median

from benchmarks.figures import SIDES, Figure, options, ratio, save, size_name
from benchmarks.memory import IMPORTS, Usage, ensure_slide, ensure_weights, measure, prediction_command

REDUCTION, RADIUS = 4, 0.4  # of the network's scale; of the disc, in sides
LARGE = 32768  # from this side on one run is enough
ONCE, REPEATS = 1, 3
CPU_ENGINES = ("torch", "bf16", "onnx", "openvino")


def main(argv: Sequence[str]) -> None:
    """Measure all and keep it."""
    args = options("Predict slides of several sizes.").parse_args(argv)
    sides, weights = SIDES[args.quick], ensure_weights(args.folder)
    scratch = args.folder / "scratch" / "test"
    imports = measure(*IMPORTS)
    rows: list[dict] = [{"what": "imports", "peak_mb": imports.peak_mb, "command_s": imports.seconds}]
    rows += [grow(args.folder, side, weights, scratch) for side in sides]
    figures = growth_figures(rows)
    onnx = export(weights)
    figures += measure_onnx(ensure_slide(args.folder, sides[1]), onnx, scratch, rows)
    figures += measure_glass(args.folder, sides, weights, scratch, rows)
    rows += compare_engines(ensure_slide(args.folder, sides[0]), weights, onnx)
    save(args.folder, "prediction", figures, rows)


def predict(home: Path, weights: Path, scratch: Path) -> Usage:
    """The command, into a fresh folder."""
    shutil.rmtree(scratch, ignore_errors=True)
    return measure(*prediction_command(home, weights, scratch))


def grow(folder: Path, side: int, weights: Path, scratch: Path) -> dict:
    """One size: the command, then prediction and forward passes in one process."""
    home = ensure_slide(folder, side)
    command = predict(home, weights, scratch)
    flow = measure("-m", "benchmarks.flow", home, weights, "--repeats", ONCE if side >= LARGE else REPEATS).answer
    print(f"prediction {size_name(side)}: {command.seconds:.1f} s, {command.peak_mb:.0f} MB, "
          f"in process {median(flow['wall']):.2f} s, forward {median(flow['forward']):.2f} s", flush=True)  # fmt: skip
    return {"what": "size", "side": side, "command_s": command.seconds, "peak_mb": command.peak_mb,
            "curve": command.curve, "tissue_px": pi * (RADIUS * side / REDUCTION) ** 2, **flow}  # fmt: skip


def growth_figures(rows: Sequence[dict]) -> list[Figure]:
    """Figures of all sizes; `rows` begins with the imports."""
    imports, *sizes = rows
    figures = []
    for row in sizes:
        name = size_name(row["side"])
        figures += [
            Figure(f"prediction_wall_over_forward_{name}", ratio(row["wall"], row["forward"]), "<1.10"),
            Figure(f"prediction_network_share_{name}", median(row["share"]), ">0.85"),
            Figure(f"prediction_patches_over_tissue_{name}", row["patch_px"] / row["tissue_px"], "<1.45"),
            Figure(f"prediction_mb_over_imports_{name}", row["peak_mb"] - imports["peak_mb"], "<600"),
        ]
    first, last = sizes[0], sizes[-1]
    grown = 100 * (last["peak_mb"] / first["peak_mb"] - 1)
    name = f"prediction_mb_growth_percent_{size_name(first['side'])}_{size_name(last['side'])}"
    return [*figures, Figure(name, grown, "<15")]


def export(weights: Path) -> Path:
    """Folder of the weights as ONNX, exported on the first call."""
    if not list(weights.glob("onnx/*.onnx")):
        measure("export_net.py", "TEST.MODEL_WEIGHTS_FOLDER", weights)
    return weights / "onnx"


def measure_onnx(home: Path, onnx: Path, scratch: Path, rows: list[dict]) -> list[Figure]:
    """Start and peak of prediction with ONNX weights."""
    command = ["benchmarks.first_forward", *prediction_command(home, onnx, scratch)[1:]]
    starts = [measure("-m", *command).answer["first_forward_s"] for _ in range(REPEATS)]
    usage = predict(home, onnx, scratch)
    rows.append({"what": "onnx", "starts": starts, "peak_mb": usage.peak_mb, "command_s": usage.seconds})
    return [
        Figure("onnx_seconds_to_first_forward", median(starts), "<2"),
        Figure("onnx_peak_mb", usage.peak_mb, "<700"),
    ]


def measure_glass(folder: Path, sides: Sequence[int], weights: Path, scratch: Path, rows: list[dict]) -> list[Figure]:
    """What the command takes longer for a slide of glass than for one of a single tile, which is next to nothing."""
    home, nothing = ensure_slide(folder, sides[1], "glass"), ensure_slide(folder, 1024, "glass")
    seconds = [[predict(each, weights, scratch).seconds for each in (home, nothing)] for _ in range(REPEATS)]
    rows.append({"what": "glass", "side": sides[1], "seconds": seconds})
    name = f"glass_seconds_{size_name(sides[1])}"
    return [Figure(name, median(large - small for large, small in seconds), "<1")]


def compare_engines(home: Path, weights: Path, onnx: Path) -> list[dict]:
    """Seconds a million pixels of each engine that is installed, by turns, each in a process of its own."""
    engines = [name for name in CPU_ENGINES if name != "openvino" or find_spec("openvino")]
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(2):
        for name in engines:
            folder = onnx if name in ("onnx", "openvino") else weights
            answer = measure("-m", "benchmarks.flow", home, folder, "--engine", name, "--forward-only").answer
            spent[name].append(answer["s_per_mpx"])
    return [{"what": "engine", "engine": name, "s_per_mpx": min(times)} for name, times in spent.items()]


if __name__ == "__main__":
    main(sys.argv[1:])
