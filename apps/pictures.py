"""Files of pictures: which of a folder are some, how results are called, and how they are written."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from apps.segmenter import Segmentation

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".dcm")  # DICOM has many more
OVERLAY_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
JPEG_QUALITY = 92
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",  # BigTIFF
    b"MM\0+": ".tif",
}


def kind_of(content: bytes) -> str | None:
    """The ending that a picture's file should have, by its first bytes; None for what is no picture."""
    from data.sources.dicom import is_dicom

    if is_dicom(content):
        return ".dcm"
    return next((ending for beginning, ending in BEGINNINGS.items() if content.startswith(beginning)), None)


def list_pictures(folder: Path) -> list[Path]:
    """What lies in a folder and has the ending of a picture, or is DICOM by content; sorted.

    What has the ending and is no file, such as a link to nowhere, is for the reader to name: it is not passed over.
    """
    from data.sources.dicom import is_dicom_file

    found = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return [path for path in found if path.suffix.lower() in ENDINGS or (path.is_file() and is_dicom_file(path))]


@dataclass(frozen=True)
class Outputs:
    """Where the results of a picture go: the overlay, and beside it the mask."""

    overlay: Path

    @property
    def mask(self) -> Path:
        """A PNG whose values are class indices, 0 for background."""
        return self.overlay.with_name(f"{self.overlay.stem}_mask.png")


def name_outputs(pictures: Sequence[Path], folder: Path) -> list[Outputs]:
    """Results in a folder, named like the pictures; where two would have the same name, with the ending in it."""
    taken: set[str] = set()
    found = []
    for path in pictures:
        stem = path.stem if path.suffix.lower() in ENDINGS else path.name
        for name in (stem, path.name, *(f"{path.name}_{number}" for number in range(2, len(pictures) + 2))):
            outputs = Outputs(folder / f"{name}.png")
            own = {each.name.casefold() for each in (outputs.overlay, outputs.mask)}
            if not own & taken:
                break
        taken |= own
        found.append(outputs)
    return found


def write_outputs(outputs: Outputs, found: "Segmentation", threshold: float | None = None) -> None:
    """Write overlay and mask of a picture at its own size, each in one step."""
    from apps.segmenter import draw_mask
    from data.patches.tiles import save_mask
    from utils.atomic import atomic_path

    mask = found.mask(threshold)
    with atomic_path(outputs.mask) as draft:
        save_mask(draft, mask)
    with atomic_path(outputs.overlay) as draft:
        write_picture(draft, draw_mask(found.picture, mask, found.classes))


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write pixels (rows, columns, 3) uint8 in the format of the ending."""
    from data.patches.tiles import save_image
    from utils.pictures import save_picture

    if path.suffix.lower() == ".png":
        save_image(path, pixels)
    else:
        options = {"quality": JPEG_QUALITY} if path.suffix.lower() in (".jpg", ".jpeg") else {}
        save_picture(path, pixels, **options)


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths name one file or folder."""
    return os.path.realpath(one) == os.path.realpath(other)
