"""The seam test: what an overlap costs and what it is worth: python -m benchmarks.seams [--quick].

Masks at the network's scale for several overlaps and sizes of patch, against a dense reference. With --slides and
--weights it runs on slides of one's own.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from yacs.config import CfgNode

from benchmarks.dense import count_agreement, dense_probabilities, dice
from benchmarks.figures import SIDES, Figure, options, save
from benchmarks.flow import Noted, load_predict, pixels, scale_of
from benchmarks.memory import ensure_slide, ensure_weights
from config import load_cfg
from data.cases import Case, list_test_cases
from data.patches.grid import Grid, whole
from data.patches.scale import Scale
from data.patches.tissue import build_tissue_rule
from data.sources.opening import build_reader
from data.sources.source import ScaledSource
from data.stitching.case import build_inference, predict_case
from data.stitching.mask import to_classes, to_level

REFERENCE_PX = 512
PATCHES = {False: (512, 640, 768), True: (256, 512)}  # in full and quick
OVERLAPS = {False: (0, 32, 64, 128, 256), True: (0, 64)}


@dataclass
class Tally:
    """Sums over cases for one patch size and overlap: pixels predicted, agreement with each reference."""

    forward_px: int = 0
    against: dict[int, np.ndarray] = field(default_factory=dict)

    def add(self, reference_px: int, counts: np.ndarray) -> None:
        """Add the agreement of one case."""
        self.against[reference_px] = self.against.get(reference_px, np.zeros(2, np.int64)) + counts


def main(argv: Sequence[str]) -> None:
    """Run the seam test and keep its table."""
    parser = options("Compare masks of thin overlaps with a dense reference.")
    parser.add_argument("--slides", type=Path, help="folder of slides of one's own")
    parser.add_argument("--weights", type=Path, help="folder of the weights for them")
    args = parser.parse_args(argv)
    slides = args.slides or ensure_slide(args.folder, SIDES[args.quick][0]) / "slides"
    words = ["TEST.WSI_FOLDER", str(slides)]
    words += ["TEST.MODEL_WEIGHTS_FOLDER", str(args.weights or ensure_weights(args.folder))]
    rows = list(compare(words, PATCHES[args.quick], OVERLAPS[args.quick]))
    used = load_cfg().TEST
    asked = [row for row in rows if (row["patch"], row["overlap"]) == (used.PATCH, used.OVERLAP)]
    name = "seams_own" if args.slides else "seams"
    save(args.folder, name, [Figure("seam_dice", row["dice"], ">0.995") for row in asked], rows)


def compare(words: list[str], patches: Sequence[int], overlaps: Sequence[int]) -> Iterator[dict[str, object]]:
    """A row for each size of patch and overlap, pooled over all cases."""
    cfg = load_cfg("", words)
    predict, threshold = load_predict(cfg)
    scale, level = scale_of(predict), to_level(threshold)
    settings = sorted({(p, o) for p in patches for o in overlaps if 2 * o <= p} | {(cfg.TEST.PATCH, cfg.TEST.OVERLAP)})
    tallies = {setting: Tally() for setting in settings}
    references, tissue_px = {REFERENCE_PX, *(patch for patch, _ in settings)}, 0.0
    for case in list_test_cases(cfg).cases:
        tissue_px += count_tissue(cfg, case, scale)
        image = read_whole(cfg, case, scale)
        dense = {px: to_bytes(dense_probabilities(image, predict, px), level) for px in references}
        for (patch, overlap), tally in tallies.items():
            noted = Noted(predict)
            mask = predict_mask([*words, "TEST.PATCH", str(patch), "TEST.OVERLAP", str(overlap)], case, noted, level)
            tally.forward_px += pixels(noted.shapes)
            for reference_px in {REFERENCE_PX, patch}:
                tally.add(reference_px, count_agreement(mask, dense[reference_px]))
    for (patch, overlap), tally in tallies.items():
        row = {"patch": patch, "overlap": overlap, "work": tally.forward_px / tissue_px}
        row |= {"dice": dice(tally.against[REFERENCE_PX]), "dice_same_patch": dice(tally.against[patch])}
        print("patch {patch} overlap {overlap}: {work:.2f} forwards a pixel of tissue, Dice {dice:.4f} against 512, "
              "{dice_same_patch:.4f} against its own size".format(**row), flush=True)  # fmt: skip
        yield row


def read_whole(cfg: CfgNode, case: Case, scale: Scale) -> np.ndarray:
    """A whole image (*spatial, channels) at the network's scale, in memory."""
    with build_reader(cfg).open_image(case) as source:
        shape = scale.shape_of(source)
        view, rows = ScaledSource(source, shape), Grid(shape, (512, *shape[1:]), (0,) * len(shape))
        image = np.zeros((*shape, source.channels), np.uint8)
        for box in rows:
            inside = box.within(shape)
            image[inside.slices] = view.read(inside)
    return image


def predict_mask(words: list[str], case: Case, noted: Noted, level: int | np.ndarray) -> np.ndarray:
    """Class indices at the network's scale, as prediction makes them."""
    cfg = load_cfg("", words)
    with TemporaryDirectory() as scratch:
        inference = build_inference(cfg, scale_of(noted.predict))
        found = predict_case(case, build_reader(cfg), inference, noted, Path(scratch) / "map.zarr")
        return to_classes(found.read(whole(found.shape)), level)


def to_bytes(probabilities: np.ndarray, level: int | np.ndarray) -> np.ndarray:
    """Class indices of probabilities (*spatial, K) float32, rounded as a map keeps them."""
    return to_classes(np.rint(255 * probabilities).astype(np.uint8), level)


def count_tissue(cfg: CfgNode, case: Case, scale: Scale) -> float:
    """Pixels of tissue at the network's scale, as prediction finds it; all where it does not look for it."""
    with build_reader(cfg).open_image(case) as source:
        tissue, shape = build_tissue_rule(cfg).find(source, "slide"), scale.shape_of(source)
        return float(np.prod(shape)) * (1.0 if tissue is None else float(tissue.mask.mean()))


if __name__ == "__main__":
    main(sys.argv[1:])
