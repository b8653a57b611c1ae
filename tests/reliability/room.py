"""A folder of good inputs, in which each case of the matrix spoils one thing."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from model.card import ModelCard
from tests.networks import write_mean
from utils.rle import encode_rle

GOOD, ODD = ("left", "right"), "odd"  # ids; what is wrong, if with a case, is wrong with the odd one
SHAPE = (150, 190)
DISC, TISSUE = (235, 180, 215), (150, 60, 110)  # the network of a room gives their mean: above and below a half
OWN = {"log.txt", "config.yaml", "versions.txt"}  # of the run, not of a case


@dataclass
class Room:
    """Where a case happens: `slides`, `labels.csv` and `weights` lie in its folder; output goes to `out`.

    What a script is called with besides is in `options` and, verbatim, in `words`; it runs inside all that is `around`,
    such as a limit of memory.
    """

    folder: Path
    options: dict[str, object] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    around: list[Callable[[], AbstractContextManager]] = field(default_factory=list)

    @property
    def slides(self) -> Path:
        """Where the slides lie."""
        return self.folder / "slides"

    @property
    def labels(self) -> Path:
        """Run lengths of the slides."""
        return self.folder / "labels.csv"

    @property
    def weights(self) -> Path:
        """Where the network lies."""
        return self.folder / "weights"

    @property
    def out(self) -> Path:
        """Where scripts write."""
        return self.folder / "out"

    def slide(self, name: str = ODD, suffix: str = ".tiff") -> Path:
        """The file of a slide."""
        return self.slides / f"{name}{suffix}"

    def label(self, runs: str, name: str = ODD) -> None:
        """Add a line to the labels."""
        with self.labels.open("a") as file:
            file.write(f"{name},{runs}\n")


def draw(seed: int, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """A pale disc on noisy tissue, (row, column, 3) uint8, and its mask."""
    rng, (rows, columns) = np.random.default_rng(seed), np.indices(shape)
    middle = [rng.uniform(0.35, 0.65) * side for side in shape]
    mask = np.hypot(rows - middle[0], columns - middle[1]) <= 0.25 * min(shape)
    image = np.where(mask[..., None], DISC, TISSUE) + rng.integers(-9, 10, (*shape, 3))
    return image.clip(0, 255).astype(np.uint8), mask.astype(np.uint8)


def write_slide(path: Path, image: np.ndarray, **options: object) -> None:
    """A TIFF of 0.5 um a pixel, in tiles."""
    given = {"photometric": "rgb", "tile": (64, 64), "resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, image, **{**given, **options})


def furnish(folder: Path) -> Room:
    """A room with two good slides, their labels and a network that needs no training."""
    room = Room(folder)
    room.slides.mkdir(parents=True)
    room.weights.mkdir()
    room.labels.write_text("id,encoding\n")
    for seed, name in enumerate(GOOD):
        image, mask = draw(seed)
        write_slide(room.slide(name), image)
        room.label(encode_rle(mask), name)
    card = ModelCard("Unet", "", 3, ("object",), (0.0,) * 3, (1.0,) * 3, reduction=1.0, threshold=0.5)
    write_mean(room.weights / "mean.onnx", card)
    return room


def lay_pairs(room: Room) -> None:
    """Images and masks of the good cases in folders of their own, if they are not there yet."""
    for seed, name in enumerate(GOOD if not (room.folder / "images").exists() else ()):
        for folder, pixels in zip(("images", "masks"), draw(seed), strict=True):
            (room.folder / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels if folder == "images" else pixels * 255).save(room.folder / folder / f"{name}.png")


def products(folder: Path, name: str) -> dict[str, str]:
    """What a run made of one case: hashes of its files, and its lines of tables; names of chance, as of drafts, too."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.exists() else []:
        place = path.relative_to(folder)
        if path.is_file() and any(part.lstrip(".").startswith(name) for part in place.parts):
            found[str(place)] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".csv" and path.name not in {*OWN, "failures.csv"}:
            lines = [line for line in path.read_text().splitlines() if line.startswith((f"{name},", f"{name}_"))]
            found.update({str(place): "\n".join(lines)} if lines else {})
    return found
