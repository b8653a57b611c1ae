"""Peak memory and time of tiling and prediction: python -m benchmarks.memory [SIDE ...]."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.big_slide import write_big_slide, write_labels
from config import load_cfg
from model.checkpoints import build_card, save_checkpoint
from model.custom_models import build_model

MODEL = ["MODEL.ARCHITECTURE", "Unet", "MODEL.ENCODER_NAME", "resnet18", "MODEL.ENCODER_WEIGHTS", "None"]


def main(argv: Sequence[str]) -> None:
    """Print one line a step and slide."""
    for side in [int(word) for word in argv] or [16384]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, side)
            shared = ["DATASETS.TRAIN_FOLDER", str(folder / "tiles"), "TEST.OUTPUT_DIR", str(folder / "test"), *MODEL]
            slides = str(folder / "slides")
            labels = ["DATASETS.WSI_FOLDER", slides, "DATASETS.LABELS_CSV", str(folder / "labels.csv")]
            weights = ["TEST.WSI_FOLDER", slides, "TEST.MODEL_WEIGHTS_FOLDER", str(folder), "TEST.TH", "0.5"]
            report("imports", side, [sys.executable, "-c", "import torch, segmentation_models_pytorch"])
            report("tiling", side, [sys.executable, "tiles_creator.py", *shared, *labels])
            report("prediction", side, [sys.executable, "test_net.py", *shared, *weights])


def prepare(folder: Path, side: int) -> None:
    """Make the slide, its labels and an untrained network."""
    (folder / "slides").mkdir()
    write_big_slide(folder / "slides" / "big.tiff", side)
    write_labels(folder / "labels.csv", "big", side)
    cfg = load_cfg("", MODEL)
    card = build_card(cfg, [0.5] * 3, [0.25] * 3)
    save_checkpoint(folder / "fold0.safetensors", build_model(cfg).state_dict(), card)


def report(step: str, side: int, command: Sequence[str]) -> None:
    """Run a command and print its wall time and peak memory."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    print(f"{step} {side}: {seconds:.1f} s, peak {usage.ru_maxrss / 1024**2:.2f} GB, exit {status >> 8}")


if __name__ == "__main__":
    main(sys.argv[1:])
