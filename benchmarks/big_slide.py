"""A slide of any size, its labels and an untrained network: python -m benchmarks.big_slide FOLDER SIDE.

One drawn field of tissue is repeated inside a disc on glass and written tile by tile.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile

from config import load_cfg
from data.patches.grid import Box, blocks
from data.synthetic import draw_slide
from model.checkpoints import build_card, save_checkpoint
from model.custom_models import build_model
from utils.rle import encode_strips

MODEL = ["MODEL.ARCHITECTURE", "Unet", "MODEL.ENCODER_NAME", "resnet18", "MODEL.ENCODER_WEIGHTS", "None"]
TILE = 256
GLASS = 243


class RepeatedField:
    """An image of `side` pixels in which a drawn field repeats inside a centred disc that fills half of the area."""

    def __init__(self, side: int, seed: int = 0):
        self.side = side
        self.image, self.mask = draw_slide(seed, (2048, 2048))

    def read(self, box: Box, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask of a box of the image reduced by `step`."""
        rows, columns = (np.arange(a, b) * step for a, b in zip(box.start, box.stop, strict=True))
        inside = np.hypot(rows[:, None] - self.side / 2, columns - self.side / 2) < self.side * 0.4
        place = np.ix_(rows % 2048, columns % 2048)
        image = np.where(inside[..., None], self.image[place], GLASS).astype(np.uint8)
        return image, np.where(inside, self.mask[place], 0)


def write_big_slide(path: Path, side: int) -> None:
    """Write a JPEG pyramid of a square slide at 0.25 um/px."""
    field = RepeatedField(side)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        step = 1
        while side // step >= 512:
            writer.write(
                _tiles(field, side // step, step),
                shape=(side // step, side // step, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 85},
                subfiletype=int(step > 1),
                resolution=(40_000 / step, 40_000 / step),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            step *= 2


def _tiles(field: RepeatedField, side: int, step: int) -> Iterator[np.ndarray]:
    for box in blocks((side, side), (TILE, TILE)):
        image, _ = field.read(box, step)
        yield cv2.copyMakeBorder(image, 0, TILE - box.size[0], 0, TILE - box.size[1], cv2.BORDER_REPLICATE)


def write_labels(path: Path, slide_id: str, side: int) -> None:
    """Write the run-length labels of such a slide."""
    field = RepeatedField(side)
    strips = (field.read(Box((0, left), (side, min(512, side - left))))[1] for left in range(0, side, 512))
    with path.open("w", encoding="utf-8") as file:
        file.write(f"id,encoding\n{slide_id},")
        file.writelines(encode_strips(strips))
        file.write("\n")


def write_weights(path: Path) -> None:
    """Write an untrained Unet on resnet18 with a card."""
    cfg = load_cfg("", MODEL)
    save_checkpoint(path, build_model(cfg).state_dict(), build_card(cfg, [0.5] * 3, [0.25] * 3))


def main(argv: Sequence[str]) -> None:
    """Write slides/big.tiff, labels.csv and weights/fold0.safetensors into a folder."""
    folder, side = Path(argv[0]), int(argv[1])
    (folder / "slides").mkdir(parents=True)
    write_big_slide(folder / "slides" / "big.tiff", side)
    write_labels(folder / "labels.csv", "big", side)
    write_weights(folder / "weights" / "fold0.safetensors")


if __name__ == "__main__":
    main(sys.argv[1:])
