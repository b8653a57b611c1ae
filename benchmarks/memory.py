"""Peak memory and time of tiling and prediction of big slides: python -m benchmarks.memory [SIDE ...]."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> None:
    """Print one line a step and slide; this process stays small, since a child's peak counts its parent's size too."""
    for side in [int(word) for word in argv] or [16384]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            subprocess.run([sys.executable, "-m", "benchmarks.big_slide", name, str(side)], check=True)
            slides, test = str(folder / "slides"), str(folder / "test")
            labels = ["DATASETS.WSI_FOLDER", slides, "DATASETS.LABELS_CSV", str(folder / "labels.csv")]
            weights = [
                "TEST.WSI_FOLDER",
                slides,
                "TEST.MODEL_WEIGHTS_FOLDER",
                str(folder / "weights"),
                "TEST.TH",
                "0.5",
            ]
            report("imports", side, ["-c", "import torch, segmentation_models_pytorch"])
            report("tiling", side, ["tiles_creator.py", *labels, "DATASETS.TRAIN_FOLDER", str(folder / "tiles")])
            report("prediction", side, ["test_net.py", *weights, "TEST.OUTPUT_DIR", test])


def report(step: str, side: int, command: Sequence[str]) -> None:
    """Run a command and print its wall time and peak memory."""
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    print(f"{step} {side}: {seconds:.1f} s, peak {usage.ru_maxrss / 1024**2:.2f} GB, exit {status >> 8}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
