"""Procedural kidney slides for the demo and the tests: PAS-like tissue with glomeruli, look-alikes and blank glass.

Tissue is drawn as two stain densities (nuclei blue, matrix pink) and developed into colour by Beer and Lambert's law.
"""

import csv
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from data.synthetic_objects import (
    PAINTERS,
    Patch,
    Rng,
    Stain,
    Waves,
    add_nuclei,
    depth_in_cells,
    enlarge,
    nearest_point,
    noise,
    random_waves,
    stamp_nuclei,
    step,
    wave,
)
from utils.atomic import atomic_path
from utils.rle import encode_rle

SPACING_UM = 0.5
SMALLEST_SIDE_PX = 512
BLUE = np.array([1.10, 1.08, 0.58], np.float32)  # optical density of red, green and blue light at density 1
PINK = np.array([0.24, 1.02, 0.46], np.float32)
GLASS = np.array([244, 243, 244], np.float32)
SCALE = 2  # tubules are laid out on a grid coarser than the picture by this factor


@dataclass(frozen=True)
class Blob:
    """A roundish object: its kind, centre (row, column) and radius in px, and its outline's (k, amplitude, phase)."""

    kind: str
    centre: tuple[int, int]
    radius: float
    waves: Waves

    def reach(self, angle: np.ndarray) -> np.ndarray:
        """Distance in px from the centre to the outline at each angle."""
        return self.radius * wave(angle, self.waves)


def draw_slide(seed: int, shape: tuple[int, int] = (3000, 3000)) -> tuple[np.ndarray, np.ndarray]:
    """Draw a slide at 0.5 um/px: picture (H, W, 3) uint8 and mask (H, W) uint8, 1 inside glomeruli and capsule."""
    if min(shape) < SMALLEST_SIDE_PX:
        raise ValueError(f"a synthetic slide of {shape} px is too small; give at least {SMALLEST_SIDE_PX} px a side")
    rng = np.random.default_rng(seed)
    depth = _draw_outline(rng, shape)
    blobs = _place_blobs(rng, depth)
    stain = _stain_tubules(rng, shape, blobs)
    mask = np.zeros(shape, np.uint8)
    for blob in blobs:
        patch = _patch(blob)
        PAINTERS[blob.kind](rng, stain, patch)
        if blob.kind == "glomerulus":
            mask[patch.place] |= (patch.out <= 1).astype(np.uint8)
    return _develop(rng, stain, depth), mask


# ---- places


def _draw_outline(rng: Rng, shape: tuple[int, int]) -> np.ndarray:
    """Depth in px below the edge of the tissue, negative on glass, (H, W) float32."""
    small = (shape[0] // 8, shape[1] // 8)
    rows, columns = np.mgrid[-1 : 1 : small[0] * 1j, -1 : 1 : small[1] * 1j].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    along, across = columns * np.cos(turn) + rows * np.sin(turn), rows * np.cos(turn) - columns * np.sin(turn)
    bend = rng.uniform(-0.25, 0.25) * (along**2 - 0.4)
    length, width = rng.uniform(0.88, 1.05), rng.uniform(0.58, 0.72)
    field = 1 - np.abs(along / length) ** 3 - np.abs((across + bend) / width) ** 2.5
    field += 0.16 * noise(rng, small, 40) + 0.07 * noise(rng, small, 12)
    tissue = np.pad((field > 0).astype(np.uint8)[3:-3, 3:-3], 3)
    inside = cv2.distanceTransform(tissue, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - tissue, cv2.DIST_L2, 5)
    depth = cv2.resize(cv2.GaussianBlur(inside * 8, (0, 0), 1.2), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return depth + 5 * noise(rng, shape, 14) + 4 * noise(rng, shape, 5)


def _place_blobs(rng: Rng, depth: np.ndarray) -> list[Blob]:
    """Objects inside the tissue that touch neither its edge nor one another: glomeruli, then look-alikes."""
    share = depth.size / 9e6
    free = depth[::8, ::8] - 16
    rows, columns = np.indices(free.shape) * 8
    for edge in (rows, columns, depth.shape[0] - 1 - rows, depth.shape[1] - 1 - columns):
        free = np.minimum(free, edge - 20)
    blobs = []
    for kind, (fewest, most, smallest, largest) in KINDS.items():
        for _ in range(max(1, round(rng.integers(fewest, most + 1) * share))):
            radius = rng.uniform(smallest, largest)
            places = np.flatnonzero(free > radius * 1.25)
            if len(places) == 0:
                continue
            row, column = np.unravel_index(rng.choice(places), free.shape)
            blobs.append(Blob(kind, (int(row) * 8, int(column) * 8), radius, random_waves(rng, (2, 2, 3, 4, 5), 0.05)))
            free = np.minimum(free, np.hypot(rows - row * 8, columns - column * 8) - radius * 1.25 - 10)
    return blobs


def _patch(blob: Blob) -> Patch:
    half = int(blob.radius * 1.3) + 4
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    angle = np.arctan2(rows, columns)
    row, column = blob.centre
    place = (slice(row - half, row + half + 1), slice(column - half, column + half + 1))
    return Patch(place, np.hypot(rows, columns) / blob.reach(angle), angle, blob.radius)


# ---- tubules


def _stain_tubules(rng: Rng, shape: tuple[int, int], blobs: list[Blob]) -> Stain:
    """Densities of tissue filled with tubules wherever no blob lies."""
    small = (-(-shape[0] // SCALE), -(-shape[1] // SCALE))
    cells = _lay_out_tubules(rng, small)
    for number, blob in enumerate(blobs):
        cv2.fillPoly(cells, [_outline_points(blob)], -1 - number)
    depth = cv2.GaussianBlur(depth_in_cells(cells) * SCALE, (0, 0), 3.4) - 7.6 - 1.5 * noise(rng, small, 26)
    kinds = _tubule_kinds(rng, int(cells.max()) + 1)[np.maximum(cells, 0)]
    wide, *tones = (enlarge(np.ascontiguousarray(layer), shape) for layer in (depth, *np.moveaxis(kinds, -1, 0)))
    stain = _stain_epithelium(rng, wide, tones)
    _add_tubule_nuclei(rng, stain, depth, kinds[..., 0])
    return stain


def _lay_out_tubules(rng: Rng, shape: tuple[int, int], spacing: float = 47) -> np.ndarray:
    """Number of the tubule at each pixel, (H, W) int32; some tubules are long, and all bend."""
    count = int(np.hypot(*shape) / spacing) + 2
    grid = np.indices((count, count)).reshape(2, -1).T - count / 2
    points = (grid + rng.uniform(-0.33, 0.33, grid.shape)) * spacing
    numbers = np.arange(len(points))
    joined = np.flatnonzero(rng.random(len(points) - 1) < 0.3)
    for here in joined:
        numbers[here + 1] = numbers[here]
    turn = rng.uniform(0, np.pi)
    points = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + np.array(shape) / 2
    return nearest_point(
        points, numbers, shape, tuple(22 * noise(rng, shape, 110) + 3 * noise(rng, shape, 18) for _ in range(2))
    )


def _outline_points(blob: Blob) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    rows, columns = np.sin(angle) * blob.reach(angle), np.cos(angle) * blob.reach(angle)
    points = np.stack([columns + blob.centre[1], rows + blob.centre[0]], -1) / SCALE
    return np.round(points).astype(np.int32)


def _tubule_kinds(rng: Rng, count: int) -> np.ndarray:
    """Epithelium's thickness in px, its pink and blue density and the pink of the lumen, (count, 4) float32."""
    proximal = rng.random(count) < 0.6
    thickness = np.where(proximal, rng.uniform(18, 34, count), rng.uniform(10, 17, count))
    pink = np.where(proximal, rng.uniform(0.22, 0.42, count), rng.uniform(0.14, 0.26, count))
    blue = np.where(proximal, rng.uniform(0.05, 0.13, count), rng.uniform(0.08, 0.18, count))
    return np.stack([thickness, pink, blue, rng.uniform(0, 0.09, count)], -1).astype(np.float32)


def _stain_epithelium(rng: Rng, depth: np.ndarray, tones: list[np.ndarray]) -> Stain:
    thickness, pink_tone, blue_tone, lumen_tone = tones
    shape = (depth.shape[0], depth.shape[1])
    grain, vacuoles = noise(rng, shape, 2), noise(rng, shape, 7)
    lumen = step(depth - thickness + 2.6 * vacuoles + 1.0 * grain, 4)
    matrix = 1 - step(depth, 1.5)
    membrane = np.exp(-((depth / 1.7) ** 2))
    fibres = noise(rng, shape, 9) + 0.6 * grain
    pink = pink_tone * (1 + 0.20 * grain - 0.26 * vacuoles) * (1 - lumen) + lumen_tone * lumen
    pink += matrix * (0.36 + 0.13 * fibres - pink) + 0.6 * membrane
    blue = blue_tone * (1 + 0.3 * grain) * (1 - lumen)
    blue += matrix * (0.10 - blue) + 0.06 * membrane
    return Stain(np.maximum(blue, 0), np.maximum(pink, 0))


def _add_tubule_nuclei(rng: Rng, stain: Stain, depth: np.ndarray, thickness: np.ndarray, spacing: int = 19) -> None:
    """A row of round nuclei in each epithelium, slender ones between the tubules."""
    height, width = stain.blue.shape
    points = spacing * np.indices((-(-height // spacing), -(-width // spacing))).reshape(2, -1).T
    points = points + rng.uniform(0, spacing, points.shape)
    points = points[(points < (height, width)).all(axis=1)]
    rows, columns = (points / SCALE).astype(int).T
    here, high = depth[rows, columns], thickness[rows, columns]
    slope = np.arctan2(
        cv2.Sobel(depth, cv2.CV_32F, 0, 1)[rows, columns], cv2.Sobel(depth, cv2.CV_32F, 1, 0)[rows, columns]
    )
    epithelial = (here > 5.5) & (here < np.minimum(0.62 * high + 4, 19)) & (rng.random(len(here)) < 0.7)
    between = (here < 1.2) & (rng.random(len(here)) < 0.5)
    nuclei = np.zeros(stain.blue.shape, np.uint8)
    stamp_nuclei(rng, nuclei, points[epithelial], (4.4, 6.2), (0.75, 1.0))
    stamp_nuclei(rng, nuclei, points[between], (4.5, 8.0), (0.28, 0.5), slope[between] + np.pi / 2, strength=1.2)
    add_nuclei(rng, stain, (slice(None), slice(None)), nuclei)


# ---- light


def _develop(rng: Rng, stain: Stain, depth: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) uint8 of light through the stained tissue, with the microscope's shading and noise."""
    shape = (depth.shape[0], depth.shape[1])
    section = step(depth, 4) * (1 + 0.10 * noise(rng, shape, 260)) * rng.uniform(0.85, 1.15)
    rind = 0.25 * np.exp(-((depth / 9) ** 2))
    blue, pink = stain.blue * section, (stain.pink + rind) * section
    _drop_dust(rng, blue)
    blue, pink = (cv2.GaussianBlur(layer, (0, 0), 0.7) for layer in (blue, pink))
    light = 1 + 0.006 * noise(rng, shape, 400)
    grain = rng.standard_normal(shape, np.float32) * 1.3
    tint_blue, tint_pink = (vector * rng.uniform(0.9, 1.1, 3).astype(np.float32) for vector in (BLUE, PINK))
    image = np.empty((*shape, 3), np.uint8)
    for channel in range(3):
        passed = np.exp(-(blue * tint_blue[channel] + pink * tint_pink[channel]))
        image[..., channel] = np.clip(GLASS[channel] * light * passed + grain, 0, 255)
    return image


def _drop_dust(rng: Rng, layer: np.ndarray) -> None:
    for _ in range(rng.integers(4, 14)):
        row, column = rng.uniform(0, layer.shape)
        size = (float(rng.uniform(2, 5)), float(rng.uniform(3, 9)))
        cv2.ellipse(layer, ((column, row), size, float(rng.uniform(0, 180))), float(rng.uniform(0.1, 1.5)), -1)


# ---- files


def write_demo_slides(folder: Path, count: int = 8, shape: tuple[int, int] = (3000, 3000), seed: int = 0) -> list[Path]:
    """Write slides `demo01.tiff`, ... in turn in every layout of `LAYOUTS`, and their `labels.csv` (id, encoding).

    `shape` is (height, width) in px; a layout of odd size is a little smaller. Returns the paths of the slides.
    """
    paths, rows = [], []
    for number in range(count):
        write, cut = LAYOUTS[number % len(LAYOUTS)]
        image, mask = draw_slide(seed + number, (shape[0] - cut[0], shape[1] - cut[1]))
        path = folder / f"demo{number + 1:02d}.tiff"
        with atomic_path(path) as draft:
            write(draft, image)
        paths.append(path)
        rows.append((path.stem, encode_rle(mask)))
    with atomic_path(folder / "labels.csv") as draft, draft.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("id", "encoding"), *rows])
    return paths


def _levels(image: np.ndarray, count: int = 3) -> list[np.ndarray]:
    """The picture and its halvings, largest first."""
    levels = [image]
    for _ in range(count - 1):
        height, width = (side // 2 for side in levels[-1].shape[:2])
        levels.append(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA))
    return levels


def _options(level: int = 0, compression: str = "jpeg") -> dict[str, Any]:
    """What `TiffWriter.write` is told for a level of a pyramid: compression, tiles and pixel size."""
    pixels_per_cm = 1e4 / SPACING_UM / 2**level
    quality = {"level": 90} if compression == "jpeg" else {"level": 6}
    return {
        "photometric": "rgb",
        "tile": (256, 256),
        "compression": compression,
        "compressionargs": quality,
        "resolution": (pixels_per_cm, pixels_per_cm),
        "resolutionunit": "CENTIMETER",
    }


def _write_pyramid(path: Path, image: np.ndarray) -> None:
    """Levels as plain top-level pages, as openslide, tiffslide and tifffile all see them."""
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate(_levels(image)):
            writer.write(level, subfiletype=int(number > 0), metadata=None, **_options(number))


def _write_ome(path: Path, image: np.ndarray) -> None:
    """OME-TIFF with the smaller levels in SubIFDs."""
    first, *others = _levels(image)
    size = {"PhysicalSizeX": SPACING_UM, "PhysicalSizeY": SPACING_UM, "UUID": f"urn:uuid:{uuid.UUID(int=0)}"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(first, subifds=len(others), metadata={"axes": "YXS", **size}, **_options())
        for number, level in enumerate(others, start=1):
            writer.write(level, subfiletype=1, **_options(number))


def _write_single(path: Path, image: np.ndarray) -> None:
    """One level without loss."""
    tifffile.imwrite(path, image, metadata=None, **_options(compression="deflate"))


def _write_planar(path: Path, image: np.ndarray) -> None:
    """One level whose array is 1 x 1 x 3 x H x W, colours in planes of their own."""
    planes = np.ascontiguousarray(np.moveaxis(image, -1, 0))[None, None]
    options = _options() | {"planarconfig": "separate", "metadata": {"axes": "TZCYX"}}
    tifffile.imwrite(path, planes, **options)


# how a slide is written, and by how many rows and columns it is smaller than asked for
LAYOUTS: list[tuple[Callable[[Path, np.ndarray], None], tuple[int, int]]] = [
    (_write_pyramid, (0, 0)),
    (_write_ome, (0, 0)),
    (_write_single, (0, 0)),
    (_write_planar, (0, 0)),
    (_write_pyramid, (37, 61)),
]

# fewest and most on a slide of 3000 x 3000 px, smallest and largest radius in px
KINDS: dict[str, tuple[int, int, float, float]] = {
    "glomerulus": (10, 18, 76, 126),
    "artery": (2, 5, 60, 115),
    "vein": (1, 3, 60, 110),
    "infiltrate": (2, 5, 60, 120),
    "cast": (3, 7, 45, 85),
}
