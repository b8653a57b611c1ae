"""Objects of a synthetic slide, painted one by one into its stain densities: glomeruli and what resembles them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Rng = np.random.Generator
Waves = tuple[tuple[int, float, float], ...]  # order, amplitude and phase of each


@dataclass(frozen=True)
class Stain:
    """Densities of the blue and of the pink stain on the whole slide, each (H, W) float32, painted in place."""

    blue: np.ndarray
    pink: np.ndarray


@dataclass(frozen=True)
class Patch:
    """The square around an object: its place on the slide, and what each pixel (H, W) knows of the object.

    `out` is the distance from the centre, 1 at the outline; `angle` is in radians; `radius` in px.
    """

    place: tuple[slice, slice]
    out: np.ndarray
    angle: np.ndarray
    radius: float

    @property
    def shape(self) -> tuple[int, int]:
        """Size in px."""
        return self.out.shape[0], self.out.shape[1]


# ---- arithmetic


def noise(rng: Rng, shape: tuple[int, int], size: float) -> np.ndarray:
    """Smooth noise (H, W) float32 of mean 0 and deviation about 1 whose spots are `size` px wide."""
    cells = (int(shape[0] / size) + 2, int(shape[1] / size) + 2)
    return cv2.resize(rng.standard_normal(cells, np.float32) * 1.2, shape[::-1], interpolation=cv2.INTER_CUBIC)


def enlarge(layer: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`layer` (h, w) interpolated linearly to `shape`."""
    return cv2.resize(layer, shape[::-1], interpolation=cv2.INTER_LINEAR)


def step(value: np.ndarray, width: float) -> np.ndarray:
    """0 below -width / 2, 1 above width / 2, linear between."""
    return np.clip(value / width + 0.5, 0, 1).astype(np.float32)


def random_waves(rng: Rng, orders: tuple[int, ...], amplitude: float) -> Waves:
    """A wave of each order, of random phase and of an amplitude up to `amplitude`."""
    return tuple((order, rng.uniform(0, amplitude), rng.uniform(0, 2 * np.pi)) for order in orders)


def wave(angle: np.ndarray, waves: Waves) -> np.ndarray:
    """1 plus the sum of the waves at each angle."""
    return 1 + np.sum([amplitude * np.cos(order * angle + phase) for order, amplitude, phase in waves], axis=0)


def nearest_point(
    points: np.ndarray, numbers: np.ndarray, shape: tuple[int, int], shift: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Number of the point (row, column) nearest to each pixel, (H, W) int32, pixels being displaced by `shift`."""
    within = ((points >= 0) & (points < shape)).all(axis=1)
    rows, columns = points[within].astype(int).T
    empty = np.ones(shape, np.uint8)
    empty[rows, columns] = 0
    _, places = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(places.max() + 1, np.float32)
    table[places[rows, columns]] = numbers[within]
    ys, xs = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    bent = cv2.remap(table[places], xs + shift[1], ys + shift[0], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    return bent.astype(np.int32)


def depth_in_cells(cells: np.ndarray) -> np.ndarray:
    """Distance in px of each pixel to the border of its cell."""
    inside = np.ones(cells.shape, np.uint8)
    inside[:, 1:] &= cells[:, 1:] == cells[:, :-1]
    inside[1:] &= cells[1:] == cells[:-1]
    return cv2.distanceTransform(inside, cv2.DIST_L2, 5)


# ---- nuclei


def stamp_nuclei(
    rng: Rng,
    layer: np.ndarray,
    points: np.ndarray,
    length: tuple[float, float],
    ratio: tuple[float, float],
    turn: np.ndarray | None = None,
    strength: float = 1.0,
) -> None:
    """Draw elliptic nuclei with a darker rim at points (row, column) into a uint8 layer, 100 a unit of density."""
    turns = np.degrees(rng.uniform(0, np.pi, len(points)) if turn is None else turn)
    halves = rng.uniform(*length, len(points))
    flats = halves * rng.uniform(*ratio, len(points))
    rims = strength * rng.uniform(70, 115, len(points))
    for (row, column), angle, a, b, rim in zip(points, turns, halves, flats, rims, strict=True):
        box = ((float(column), float(row)), (2 * float(a), 2 * float(b)), float(angle))
        cv2.ellipse(layer, box, int(rim), -1, cv2.LINE_AA)
        if b > 3.5:
            cv2.ellipse(layer, (box[0], (2 * float(a) - 3, 2 * float(b) - 3), box[2]), int(0.72 * rim), -1, cv2.LINE_AA)


def add_nuclei(rng: Rng, stain: Stain, place: tuple[slice, slice], layer: np.ndarray) -> None:
    """Stain the nuclei of a layer made by `stamp_nuclei` blue, with a grain of chromatin."""
    grain = noise(rng, (layer.shape[0], layer.shape[1]), 3)
    density = cv2.GaussianBlur(layer, (0, 0), 0.8).astype(np.float32) / 100
    stain.blue[place] = np.maximum(stain.blue[place], density * (1 + 0.12 * grain))
    stain.pink[place] *= 1 - 0.6 * np.minimum(density, 1)


def _scatter(rng: Rng, patch: Patch, inside: np.ndarray, area_each: float) -> np.ndarray:
    """Random points (row, column) on the true pixels of a patch, one for each `area_each` px."""
    places = np.flatnonzero(inside)
    count = int(len(places) / area_each)
    return np.stack(np.unravel_index(rng.choice(places, count, replace=False), patch.shape), -1)


# ---- objects


def _stamp_flat(
    rng: Rng, layer: np.ndarray, patch: Patch, inside: np.ndarray, area_each: float, length: tuple[float, float]
) -> None:
    """Slender nuclei that run along the outline, one for each `area_each` px of the true pixels."""
    points = _scatter(rng, patch, inside, area_each)
    stamp_nuclei(rng, layer, points, length, (0.25, 0.4), patch.angle[tuple(points.T)] + np.pi / 2)


def _blend(stain: Stain, patch: Patch, cover: np.ndarray, blue: np.ndarray, pink: np.ndarray) -> None:
    for layer, value in ((stain.blue, blue), (stain.pink, pink)):
        layer[patch.place] += cover * (np.maximum(value, 0) - layer[patch.place])


def _paint_glomerulus(rng: Rng, stain: Stain, patch: Patch) -> None:
    """A lobed tuft of capillaries in a pale Bowman's space, closed by a capsule."""
    edge = rng.uniform(0.80, 0.88) + rng.uniform(0.04, 0.11) * np.cos(patch.angle - rng.uniform(0, 2 * np.pi))
    lobes = random_waves(rng, (5, 6, 7, 9), 0.05)
    edge = np.minimum(edge * wave(patch.angle, lobes), 0.95)
    px = patch.radius
    tuft = step((edge - patch.out) * px + 1.5 * noise(rng, patch.shape, 6), 2)
    blue, pink, walls = _weave_capillaries(rng, patch)
    pink, blue = pink * tuft + 0.03 * (1 - tuft), blue * tuft + 0.02 * (1 - tuft)
    capsule = np.exp(-(((patch.out - 0.985) * px / 2.4) ** 2))
    _blend(stain, patch, step((1 - patch.out) * px, 2), blue + 0.1 * capsule, pink + 0.75 * capsule)
    nuclei = np.zeros(patch.shape, np.uint8)
    inside = (patch.out < edge - 0.05) & (walls < 4)
    stamp_nuclei(rng, nuclei, _scatter(rng, patch, inside, rng.uniform(170, 260)), (3.8, 5.8), (0.6, 0.95))
    _stamp_flat(rng, nuclei, patch, np.abs(patch.out - 0.965) < 0.012, 130, (5, 7))
    add_nuclei(rng, stain, patch.place, nuclei)


def _weave_capillaries(rng: Rng, patch: Patch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blue and pink density of a tuft, and the distance in px to the nearest capillary wall."""
    shape, size = patch.shape, patch.shape[0]
    shift = tuple(4 * noise(rng, shape, 12) + 6 * noise(rng, shape, 40) for _ in range(2))
    count = int((size / rng.uniform(14, 18)) ** 2)
    loops = nearest_point(rng.uniform(0, size, (count, 2)), np.arange(count), shape, shift)
    walls = cv2.GaussianBlur(depth_in_cells(loops), (0, 0), 1.6)
    open_loop = (rng.random(count) < rng.uniform(0.5, 0.8))[loops]
    lumen = step(walls - 2.4 + 0.5 * noise(rng, shape, 5), 1.8) * open_loop
    lobe_points = rng.uniform(0.1, 0.9, (9, 2)) * size
    cleft = depth_in_cells(nearest_point(lobe_points, np.arange(9), shape, shift))
    gap = (1 - step(cleft - 1.6, 1.5)) * step(patch.out - 0.35, 0.3)
    matrix = rng.uniform(0.48, 0.66) + 0.12 * noise(rng, shape, 10) + 0.08 * noise(rng, shape, 2)
    pink = (matrix + 0.3 * np.exp(-(((walls - 1) / 1.3) ** 2))) * (1 - 0.86 * lumen) * (1 - 0.85 * gap)
    blue = (0.2 + 0.05 * noise(rng, shape, 4)) * (1 - 0.85 * lumen) * (1 - gap)
    return blue, pink, walls


def _paint_artery(rng: Rng, stain: Stain, patch: Patch) -> None:
    """A white lumen in a thick wall of concentric muscle."""
    bore = rng.uniform(0.25, 0.5) * wave(patch.angle, random_waves(rng, (2, 3, 5), 0.15))
    lumen = step((bore - patch.out) * patch.radius, 2)
    layers = np.sin(patch.out * patch.radius / rng.uniform(1.6, 2.4) + 2.5 * noise(rng, patch.shape, 12))
    pink = (0.52 + 0.10 * layers + 0.1 * noise(rng, patch.shape, 8)) * (1 - 0.97 * lumen)
    pink += 0.3 * np.exp(-(((patch.out - bore) * patch.radius / 2.5) ** 2))
    _blend(stain, patch, step((1 - patch.out) * patch.radius, 4), 0.12 * (1 - lumen), pink)
    nuclei = np.zeros(patch.shape, np.uint8)
    _stamp_flat(rng, nuclei, patch, (patch.out > bore + 0.05) & (patch.out < 0.97), 260, (6, 9))
    add_nuclei(rng, stain, patch.place, nuclei)


def _paint_vein(rng: Rng, stain: Stain, patch: Patch) -> None:
    """A wide lumen in a thin wall, with some blood in it."""
    blood = 0.5 * step(noise(rng, patch.shape, 18) - rng.uniform(0.3, 1.6), 0.7)
    lumen = step((rng.uniform(0.84, 0.93) - patch.out) * patch.radius, 2)
    pink = 0.5 * (1 - lumen) + lumen * blood * (1 + 0.3 * noise(rng, patch.shape, 4))
    _blend(stain, patch, step((1 - patch.out) * patch.radius, 2), 0.12 * (1 - lumen), pink)
    nuclei = np.zeros(patch.shape, np.uint8)
    _stamp_flat(rng, nuclei, patch, np.abs(patch.out - 0.95) < 0.03, 150, (5, 8))
    add_nuclei(rng, stain, patch.place, nuclei)


def _paint_infiltrate(rng: Rng, stain: Stain, patch: Patch) -> None:
    """A dense crowd of lymphocytes without a border."""
    near = step(1.05 - patch.out + 0.18 * noise(rng, patch.shape, 20), 0.3)
    pale = 0.24 + 0.12 * noise(rng, patch.shape, 6)
    _blend(stain, patch, near, np.full(patch.shape, 0.12, np.float32), pale)
    nuclei = np.zeros(patch.shape, np.uint8)
    crowded = rng.random(patch.shape) < near
    stamp_nuclei(rng, nuclei, _scatter(rng, patch, crowded, 62), (3.2, 4.6), (0.8, 1.0), strength=1.35)
    add_nuclei(rng, stain, patch.place, nuclei)


def _paint_cast(rng: Rng, stain: Stain, patch: Patch) -> None:
    """A swollen tubule filled by a smooth pink cast that has shrunk and cracked."""
    rim = (1 - patch.out) * patch.radius
    thickness = rng.uniform(8, 13)
    cast = step(rim - thickness - 3 + noise(rng, patch.shape, 8), 2)
    turn = rng.uniform(0, np.pi)
    across = patch.out * patch.radius * np.cos(patch.angle - turn)
    cracks = step(np.cos(across / 2.6 + noise(rng, patch.shape, 30)) - 0.9, 0.1) * (rng.random() < 0.5)
    wall = step(thickness - rim, 2)
    pink = 0.22 * wall + cast * rng.uniform(0.45, 0.85) * (1 - 0.8 * cracks) + 0.45 * np.exp(-((rim / 2) ** 2))
    _blend(stain, patch, step(rim, 2), 0.14 * wall + 0.04 * cast, pink + 0.02 * noise(rng, patch.shape, 2))
    nuclei = np.zeros(patch.shape, np.uint8)
    points = _scatter(rng, patch, (rim > 4) & (rim < thickness), 130)
    stamp_nuclei(rng, nuclei, points, (4, 5.6), (0.7, 1.0))
    add_nuclei(rng, stain, patch.place, nuclei)


PAINTERS: dict[str, Callable[[Rng, Stain, Patch], None]] = {
    "glomerulus": _paint_glomerulus,
    "artery": _paint_artery,
    "vein": _paint_vein,
    "infiltrate": _paint_infiltrate,
    "cast": _paint_cast,
}
