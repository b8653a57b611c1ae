"""What the peers are given and compared with: python -m benchmarks.peer_reference HOME WEIGHTS TARGET [CROP].

Writes into TARGET tissue.png, the tissue that we find; dense.npy, the dense reference of the whole slide's mask at the
network's scale; and crop.npy, the CROP x CROP pixels in the middle of the slide at that scale.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.dense import dense_probabilities
from benchmarks.flow import load_predict, scale_of
from benchmarks.seams import REFERENCE_PX, read_whole, to_bytes
from config import load_cfg
from data.cases import list_test_cases
from data.patches.tissue import build_tissue_rule
from data.sources.opening import build_reader
from data.stitching.mask import to_level


def main(argv: Sequence[str]) -> None:
    """Write the three files."""
    home, weights, target = map(Path, argv[:3])
    cfg = load_cfg("", ["TEST.WSI_FOLDER", str(home / "slides"), "TEST.MODEL_WEIGHTS_FOLDER", str(weights)])
    predict, threshold = load_predict(cfg)
    (case,) = list_test_cases(cfg).cases
    target.mkdir(parents=True, exist_ok=True)
    with build_reader(cfg).open_image(case) as source:
        tissue = build_tissue_rule(cfg).find(source, "slide").mask
    Image.fromarray(np.repeat(tissue[..., None] * np.uint8(255), 3, axis=-1)).save(target / "tissue.png")
    image, side = read_whole(cfg, case, scale_of(predict)), int(argv[3])
    middle = tuple(slice((n - side) // 2, (n - side) // 2 + side) for n in image.shape[:2])
    np.save(target / "crop.npy", image[middle])
    np.save(target / "dense.npy", to_bytes(dense_probabilities(image, predict, REFERENCE_PX), to_level(threshold)))


if __name__ == "__main__":
    main(sys.argv[1:])
