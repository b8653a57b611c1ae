"""A folder of numbered TIFF slices, each with its mask beside it, as one volume, as in the set kaggle_3m.

A slice is `<folder>_<number>.tif`, its mask `<folder>_<number>_mask.tif`. The first and the last slice are left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.patches.grid import Box
from data.sources.slide import TiffSource
from data.sources.source import Source, SourceError

ENDINGS = (".tif", ".tiff")
SHOWN = 5  # numbers that a message holds


@dataclass(frozen=True)
class SliceStack:
    """The files of a volume from its second to its last but one slice; `masks` is empty where none has one."""

    name: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]


def holds_stack(path: Path) -> bool:
    """Whether a path is a folder that holds a slice of its name."""
    return path.is_dir() and any(_match(file, path.name) for file in path.iterdir())


def list_stack(folder: Path) -> SliceStack:
    """The slices of a folder in the order of their numbers.

    Raises SourceError for a slice that is missing or there twice, and for a mask without image or the other way round.
    """
    images, masks = _numbered(folder, is_mask=False), _numbered(folder, is_mask=True)
    alone = sorted(masks.keys() - images.keys())
    if alone:
        raise SourceError(f"{folder.name} has {masks[alone[0]].name}, whose image is missing")
    missing = sorted(set(range(min(1, *images), max(images) + 1)) - images.keys()) if images else []
    if missing:
        more = ", ..." if len(missing) > SHOWN else ""
        numbers = ", ".join(map(str, missing[:SHOWN]))
        raise SourceError(f"{folder.name} lacks the slices {numbers}{more} of 1 to {max(images)}")
    bare = sorted(images.keys() - masks.keys())
    if masks and bare:
        raise SourceError(f"{folder.name} has {images[bare[0]].name}, whose mask is missing")
    if len(images) < 3:
        raise SourceError(
            f"{folder.name} has {len(images)} slices; of three or more the first and the last are left out"
        )
    return SliceStack(folder.name, _inner(images), _inner(masks))


def _match(file: Path, name: str) -> re.Match | None:
    return re.fullmatch(rf"{re.escape(name)}_(\d+)(_mask)?", file.stem) if file.suffix.lower() in ENDINGS else None


def _numbered(folder: Path, is_mask: bool) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        match = _match(file, folder.name)
        if match and bool(match[2]) == is_mask:
            other = found.setdefault(int(match[1]), file)
            if other is not file:
                raise SourceError(f"{folder.name} has slice {int(match[1])} twice: {other.name} and {file.name}")
    return found


def _inner(files: Mapping[int, Path]) -> tuple[Path, ...]:
    return tuple(files[number] for number in sorted(files))[1:-1]


class StackSource(Source):
    """The slices of files as a volume (z, row, column) uint8 of any channels; its axes are the files' own."""

    def __init__(self, name: str, files: Sequence[Path]):
        self.name = name
        self.files = files
        with TiffSource(files[0]) as first:
            self.level_shapes = ((len(files), *first.shape),)
            self.channels = first.channels

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (*box.size, channels) uint8; raises SourceError on a slice of another size or other channels."""
        inside = Box(box.start[1:], box.size[1:])
        pixels = np.empty((*box.size, self.channels), np.uint8)
        for place, file in enumerate(self.files[box.start[0] : box.stop[0]]):
            pixels[place] = self._read_slice(file, inside)
        return pixels

    def _read_slice(self, file: Path, box: Box) -> np.ndarray:
        with TiffSource(file) as source:
            own, wanted = (*source.shape, source.channels), (*self.shape[1:], self.channels)
            if own != wanted:
                raise SourceError(f"{file.name} is {own} (rows, columns, channels), {self.files[0].name} is {wanted}")
            return source.read(box)

    def tile_shape(self, level: int) -> tuple[int, ...]:
        """A slice."""
        return (1, *self.shape[1:])


def open_stack(folder: Path) -> StackSource:
    """The volume of a folder of slices; raises SourceError."""
    stack = list_stack(folder)
    return StackSource(stack.name, stack.images)


def open_stack_masks(folder: Path) -> StackSource:
    """The masks of a folder of slices; raises SourceError, also where there is none."""
    stack = list_stack(folder)
    if not stack.masks:
        raise SourceError(f"{folder.name} has no masks")
    return StackSource(f"the masks of {stack.name}", stack.masks)
