"""TIAToolbox and MONAI on the same slide, network, scale and tissue: python -m benchmarks.peers [--quick].

Their packages live in a venv of their own, made on the first call. --python takes one that is there already.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import zarr

from benchmarks.dense import count_agreement, dice
from benchmarks.figures import Figure, options, ratio, save, size_name
from benchmarks.memory import ROOT, ensure_slide, ensure_weights, measure, prediction_command
from benchmarks.prediction import export
from config import load_cfg
from data.patches.grid import whole
from data.stitching.mask import to_classes
from data.stitching.probability_map import open_map
from utils.metrics import threshold_to_level

SIDE = {False: 16384, True: 4096}
CROP_PX = {False: 2048, True: 512}
TURNS = {False: 3, True: 1}
LEVEL = threshold_to_level(0.5)


def main(argv: Sequence[str]) -> None:
    """Compare and keep the table."""
    parser = options("Compare prediction with TIAToolbox and MONAI.")
    parser.add_argument("--python", default=os.environ.get("PEERS_PYTHON", ""), help="the peers' own Python")
    args = parser.parse_args(argv)
    python = args.python or ensure_python(args.folder / "peers-venv")
    home, weights, room = (
        ensure_slide(args.folder, SIDE[args.quick]),
        ensure_weights(args.folder),
        args.folder / "peers",
    )
    shutil.rmtree(room, ignore_errors=True)
    measure("-m", "benchmarks.peer_reference", home, weights, room, CROP_PX[args.quick])
    slides = compare_slides(home, weights, room, python, TURNS[args.quick])
    crops = compare_crops(weights, room, python)
    save(args.folder, "peers", figures(slides, crops, size_name(SIDE[args.quick])), slides + crops)


def ensure_python(venv: Path) -> str:
    """Python of the peers' venv, which is made and filled on the first call."""
    python, ready = venv / "bin" / "python", venv / "ready"
    if not ready.exists():
        print("installing the peers, once", flush=True)
        measure("-m", "venv", venv)
        listed = ROOT / "benchmarks" / "requirements-peers.txt"
        measure("-m", "pip", "install", "--quiet", "--requirement", listed, python=str(python))
        ready.touch()
    return str(python)


def compare_slides(home: Path, weights: Path, room: Path, python: str, turns: int) -> list[dict]:
    """Whole processes on a whole slide, by turns: ours with torch, ours with ONNX weights, TIAToolbox."""
    (slide,) = (home / "slides").glob("*.tiff")
    peer = ["-m", "benchmarks.peer_tiatoolbox", slide, weights / "fold0.safetensors", room / "tissue.png"]
    ways = {
        "ours": (prediction_command(home, weights, room / "ours"), sys.executable),
        "ours_onnx": (prediction_command(home, export(weights), room / "ours_onnx"), sys.executable),
        "tiatoolbox": ([*peer, room / "tiatoolbox"], python),
    }
    usages: dict[str, list] = {name: [] for name in ways}
    for _ in range(turns):
        for name, (command, own_python) in ways.items():
            shutil.rmtree(room / name, ignore_errors=True)
            usages[name].append(measure(*command, python=own_python))
            print(f"{name}: {usages[name][-1].seconds:.1f} s, {usages[name][-1].peak_mb:.0f} MB", flush=True)
    dense = np.load(room / "dense.npy")
    masks = {"ours": our_mask(room / "ours"), "ours_onnx": our_mask(room / "ours_onnx")}
    masks["tiatoolbox"] = zarr.open_group(room / "tiatoolbox" / f"{slide.stem}.zarr", mode="r")["predictions"][:]
    return [
        {"on": "slide", "who": name, "seconds": [each.seconds for each in own],
         "peak_mb": median(each.peak_mb for each in own), "dice": dice(count_agreement(masks[name], dense))}
        for name, own in usages.items()
    ]  # fmt: skip


def our_mask(results: Path) -> np.ndarray:
    """Class indices at the network's scale of the one case that was predicted."""
    (path,) = (results / "probabilities").glob("*.zarr")
    found = open_map(path)
    return to_classes(found.read(whole(found.shape)), LEVEL)


def compare_crops(weights: Path, room: Path, python: str) -> list[dict]:
    """MONAI's sliding window and ours on a crop in memory, in one process."""
    test = load_cfg().TEST
    command = [
        "-m",
        "benchmarks.peer_monai",
        room / "crop.npy",
        weights / "fold0.safetensors",
        test.PATCH,
        test.OVERLAP,
    ]
    rows = [{"on": "crop", **row} for row in measure(*command, python=python).answer]
    for row in rows:
        print(f"crop, {row['who']}: {median(row['seconds']):.1f} s, Dice {row['dice']:.4f}", flush=True)
    return rows


def figures(slides: Sequence[dict], crops: Sequence[dict], size: str) -> list[Figure]:
    """Times faster than each peer, and what our masks lose by it."""
    mine, mine_onnx, tiatoolbox = slides
    our_crop, *monai = crops
    return [
        Figure(f"speed_over_tiatoolbox_{size}", ratio(tiatoolbox["seconds"], mine["seconds"]), ">3"),
        Figure(f"speed_over_tiatoolbox_{size}_onnx", ratio(tiatoolbox["seconds"], mine_onnx["seconds"]), ">3"),
        Figure(f"dice_against_dense_{size}", mine["dice"], ">0.995"),
        *(Figure(f"speed_over_{row['who']}", ratio(row["seconds"], our_crop["seconds"]), ">1") for row in monai),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
