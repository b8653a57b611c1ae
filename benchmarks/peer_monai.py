"""MONAI's sliding window against ours on one image in memory, by turns, as JSON.

python -m benchmarks.peer_monai IMAGE WEIGHTS PATCH OVERLAP, run by the Python of the peers: both have the same torch.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from benchmarks.dense import count_agreement, dense_probabilities, dice
from benchmarks.peer_network import ProbabilityNetwork
from data.patches.grid import whole
from data.patches.plan import plan_patches
from data.sources.source import ArraySource
from data.stitching.probability_map import create_map, frame_of
from data.stitching.sliding_window import PatchReader, Predict, predict_map

ROI_PX = 512
SETTINGS = [(overlap, mode) for overlap in (0.25, 0.5) for mode in ("constant", "gaussian")]
REPEATS = 2
HALF = 128  # 255 times a probability, from which a pixel is foreground


def ours(image: np.ndarray, predict: Predict, patch_px: int, overlap_px: int) -> np.ndarray:
    """Mask by this project's loop, through a map on disk."""
    source, plan = ArraySource(image), plan_patches(image.shape[:2], patch_px, overlap_px)
    with TemporaryDirectory() as scratch, PatchReader(source, plan, 1) as patches:
        target = create_map(Path(scratch) / "map.zarr", plan.shape, frame_of(source, ["object"]))
        predict_map(patches, plan, predict, target)
        return target.read(whole(plan.shape))[..., 0] >= HALF


def theirs(image: np.ndarray, network: ProbabilityNetwork, overlap: float, mode: str) -> np.ndarray:
    """Mask by MONAI's."""
    images = torch.from_numpy(np.moveaxis(image, -1, 0)[None]).float()
    return sliding_window_inference(images, ROI_PX, 1, network, overlap, mode)[0, 0].numpy() >= HALF / 255


@torch.inference_mode()
def compare(image: np.ndarray, weights: Path, patch_px: int, overlap_px: int) -> list[dict[str, object]]:
    """A row for ours and for each setting of MONAI's: seconds of each turn and Dice against the dense reference."""
    network = ProbabilityNetwork(weights)

    @torch.inference_mode()
    def predict(patches: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(patches)).numpy()

    ways: dict[str, Callable[[], np.ndarray]] = {"ours": partial(ours, image, predict, patch_px, overlap_px)}
    for overlap, mode in SETTINGS:
        ways[f"monai_{overlap}_{mode}"] = partial(theirs, image, network, overlap, mode)
    dense = dense_probabilities(image, predict, ROI_PX)[..., 0] >= HALF / 255
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    masks = {}
    for _ in range(REPEATS):
        for name, run in ways.items():
            begun = time.perf_counter()
            masks[name] = run()
            seconds[name].append(time.perf_counter() - begun)
    return [{"who": name, "seconds": seconds[name], "dice": dice(count_agreement(masks[name], dense))} for name in ways]


def main(argv: Sequence[str]) -> None:
    """Print the rows as JSON."""
    image, weights, patch_px, overlap_px = argv
    print(json.dumps(compare(np.load(image), Path(weights), int(patch_px), int(overlap_px))))


if __name__ == "__main__":
    main(sys.argv[1:])
