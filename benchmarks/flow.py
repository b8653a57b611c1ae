"""Prediction of one slide against the pure forward time of its patches, by turns and in one process.

python -m benchmarks.flow HOME WEIGHTS [--engine NAME] [--repeats N] [--forward-only] prints JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from yacs.config import CfgNode

import test_net
from config import load_cfg
from data.cases import Case, list_test_cases
from data.patches.scale import Scale
from data.sources.opening import build_reader
from data.stitching.case import build_inference, predict_case
from data.stitching.mask import Threshold
from data.stitching.sliding_window import Predict
from data.writers.products import CaseMask, Products
from data.writers.results import Results
from model.predictor import Predictor, build_predictor
from utils.threads import Ahead

ENOUGH_PX = 2e7  # of patches in the bare loop; of more, equally spaced ones stand for all
WARM_UP = (1, 3, 512, 512)
MASKS = ("tiff", "rle")  # what is written of the map
Shape = tuple[int, ...]


class Noted:
    """A network that notes the shapes of its batches and the seconds that it computed."""

    def __init__(self, predict: Predict):
        self.predict = predict
        self.at_once = getattr(predict, "at_once", 1)
        self.shapes: list[Shape] = []
        self.seconds = 0.0

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Probabilities of raw patches."""
        begun = time.perf_counter()
        probabilities = self.predict(patches)
        self.seconds += time.perf_counter() - begun
        self.shapes.append(patches.shape)
        return probabilities


def pixels(shapes: Sequence[Shape]) -> int:
    """Pixels of patches (N, C, *)."""
    return sum(int(np.prod(shape)) // shape[1] for shape in shapes)


def forward_seconds(predict: Predict, shapes: Sequence[Shape]) -> float:
    """Time of nothing but the network on random patches of these shapes, as many side by side as at prediction."""
    chosen = shapes[:: int(np.ceil(pixels(shapes) / ENOUGH_PX))]
    rng = np.random.default_rng(0)
    patches = {shape: rng.integers(0, 256, shape, np.uint8) for shape in set(chosen)}
    at_once = getattr(predict, "at_once", 1)
    begun = time.perf_counter()
    with Ahead(lambda shape: predict(patches[shape]), chosen, at_once, at_once + 1) as done:
        for _, probabilities in done:
            probabilities.result()
    return (time.perf_counter() - begun) * pixels(shapes) / pixels(chosen)


def compare(cfg: CfgNode, repeats: int, scratch: Path) -> dict[str, object]:
    """Seconds of prediction and of its forward passes by turns, with the pixels that were predicted."""
    predict, threshold = load_predict(cfg)
    (case,) = list_test_cases(cfg).cases
    predict(np.zeros(WARM_UP, np.uint8))
    wall, forward, share = [], [], []
    for number in range(repeats):
        noted = Noted(predict)
        begun = time.perf_counter()
        predict_and_write(cfg, case, noted, threshold, Results(scratch / str(number)))
        wall.append(time.perf_counter() - begun)
        share.append(noted.seconds / noted.at_once / wall[-1])
        if noted.shapes:
            forward.append(forward_seconds(predict, noted.shapes))
    return {"wall": wall, "forward": forward, "share": share, "patches": len(noted.shapes),
            "patch_px": pixels(noted.shapes)}  # fmt: skip


def scale_of(predict: Predictor) -> Scale:
    """The scale of the networks."""
    card = predict.members[0].card
    return Scale(card.reduction, card.spacing_um or 0.0, card.reductions, card.spacings_um, card.sides)


def load_predict(cfg: CfgNode) -> tuple[Predictor, Threshold]:
    """The networks of a config as one callable, and the threshold of their masks."""
    members, rule = test_net.load_networks(cfg)
    return build_predictor(cfg, members), rule.extent


def predict_and_write(cfg: CfgNode, case: Case, noted: Noted, threshold: Threshold, results: Results) -> None:
    """From the slide to its mask as TIFF and run lengths; outlines have a benchmark of their own."""
    inference = build_inference(cfg, scale_of(noted.predict))
    probabilities = predict_case(case, build_reader(cfg), inference, noted, results.probabilities(case.id))
    Products(MASKS).write(results, CaseMask(case.id, probabilities, threshold))


def forward_per_mpx(cfg: CfgNode, shape: Shape) -> dict[str, object]:
    """Seconds a million pixels of nothing but the network."""
    predict, _ = load_predict(cfg)
    forward_seconds(predict, [shape] * predict.at_once)
    shapes = [shape] * 8
    return {"s_per_mpx": forward_seconds(predict, shapes) / pixels(shapes) * 1e6}


def main(argv: Sequence[str]) -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description="Compare prediction with its forward passes.")
    parser.add_argument("home", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--forward-only", action="store_true")
    args = parser.parse_args(argv)
    cfg = load_cfg("", [
        "TEST.WSI_FOLDER", str(args.home / "slides"), "TEST.MODEL_WEIGHTS_FOLDER", str(args.weights),
        "TEST.ENGINE", args.engine,
    ])  # fmt: skip
    with TemporaryDirectory() as scratch:
        shape = (cfg.TEST.BATCH_SIZE, 3, cfg.TEST.PATCH, cfg.TEST.PATCH)
        done = forward_per_mpx(cfg, shape) if args.forward_only else compare(cfg, args.repeats, Path(scratch))
    print(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1:])
