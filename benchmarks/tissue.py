"""The ways to find tissue side by side: python -m benchmarks.tissue [--slides FOLDER --labels CSV].

On drawn slides, clean and spoilt: the share of the glomeruli, of the glass, of ink, dust and black border taken
for tissue. With slides of one's own: the share of the labelled area, and of wide areas that are nearly white.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from config import load_cfg
from data.cases import list_cases
from data.patches.grid import whole
from data.patches.tissue import build_tissue_rule, find_tissue, shrunk_shape
from data.sources.labels import ScaledLabels
from data.sources.opening import build_reader
from data.sources.source import ArraySource, ScaledSource, Source
from data.synthetic import SPACING_UM, draw_slide
from data.synthetic_artefacts import spoil_slide

DRAWN = 3
SIDE_PX = 3000
WHITE, WIDE_CELLS = 225, 2000  # least channel of bright cells, and how many of them together are glass

Areas = Mapping[str, np.ndarray]  # what a part of the picture is called, and where it is


def main(argv: Sequence[str]) -> None:
    """Print a line a slide and rule."""
    parser = argparse.ArgumentParser(description="Compare the ways to find tissue.")
    parser.add_argument("--slides", default="", help="folder of slides in place of drawn ones")
    parser.add_argument("--labels", default="", help="run lengths of what they hold")
    parser.add_argument("--px", type=int, default=1024, help="longest side of the picture on which tissue is sought")
    args = parser.parse_args(argv)
    slides = real_slides(args.slides, args.labels, args.px) if args.slides else drawn_slides(args.px)
    for name, source, areas in slides:
        for rule in ("saturation", "otsu"):
            begun = time.perf_counter()
            mask = find_tissue(source, args.px, detector(rule)).mask
            seconds = time.perf_counter() - begun
            shares = "  ".join(f"{part} {mask[where].mean():.4f}" for part, where in areas.items() if where.any())
            print(f"{name:14} {rule:10}  {shares}  {seconds:.2f} s")


def detector(rule: str):
    """The detector of a rule with all else as by default."""
    return build_tissue_rule(load_cfg(options=["TILES.TISSUE", rule])).detector


def drawn_slides(px: int) -> Iterator[tuple[str, Source, Areas]]:
    """Drawn slides, each clean and spoilt, in memory at the size of the picture."""
    for seed in range(DRAWN):
        image, glomeruli = draw_slide(seed, (SIDE_PX, SIDE_PX))
        spoilt, artefacts = spoil_slide(image, seed)
        touched = np.logical_or.reduce(list(artefacts.values()))
        near_tissue = cv2.dilate((image.min(-1) < WHITE).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
        glass = {"glass": ~near_tissue}
        for name, picture, areas in (
            ("clean", image, {"labelled": glomeruli > 0} | glass),
            (
                "spoilt",
                spoilt,
                {"labelled": (glomeruli > 0) & ~touched} | {k: v & ~near_tissue for k, v in artefacts.items()},
            ),
        ):
            small = {part: shrink(where, px) for part, where in areas.items()}
            yield f"{name} {seed}", ArraySource(picture, (SPACING_UM,) * 2), small


def real_slides(folder: str, labels_csv: str, px: int) -> Iterator[tuple[str, Source, Areas]]:
    """Slides of a folder with their labelled area and their glass."""
    cfg = load_cfg(options=["DATASETS.WSI_FOLDER", folder, "DATASETS.LABELS_CSV", labels_csv])
    reader = build_reader(cfg)
    for case in list_cases(cfg).cases:
        with reader.open_both(case) as (source, labels):
            shape = shrunk_shape(source.shape, px)
            picture = ScaledSource(source, shape).read(whole(shape))
            labelled = ScaledLabels(labels, shape, len(reader.classes)).read(whole(shape)) == 1
            yield case.id, source, {"labelled": labelled, "glass": wide_and_white(picture)}


def wide_and_white(picture: np.ndarray) -> np.ndarray:
    """Wide areas of nearly white cells, without their rims: glass without asking either rule."""
    white = cv2.GaussianBlur(picture, (0, 0), 2).min(-1) > WHITE
    _, number, stats, _ = cv2.connectedComponentsWithStats(white.astype(np.uint8))
    wide = stats[:, cv2.CC_STAT_AREA] >= WIDE_CELLS
    wide[0] = False
    return cv2.erode(wide[number].astype(np.uint8), np.ones((9, 9), np.uint8)) > 0


def shrink(where: np.ndarray, px: int) -> np.ndarray:
    """A boolean image at the size of the picture: cells that it covers for the most part."""
    shape = shrunk_shape(where.shape, px)
    return cv2.resize(where.astype(np.uint8) * 255, shape[::-1], interpolation=cv2.INTER_AREA) > 127


if __name__ == "__main__":
    main(sys.argv[1:])
