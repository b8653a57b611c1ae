"""A volume as its file holds it: values of any type, read by region and never all at once."""

import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO

import numpy as np

from data.patches.grid import Box, blocks
from data.sources.source import SourceError
from data.sources.volume_grid import VolumeGrid

IN_MEMORY_BYTES = 2**26  # a smaller volume is unpacked in memory, a larger one to a scratch file
AGAIN = "copy or download it again"
MOST_DEFLATED = 1032  # bytes that one byte of gzip can stand for
STRIP_VALUES = 2**22  # values that are looked at in one step


@dataclass(frozen=True)
class VolumeFile:
    """The values of a volume, slope * raw + intercept.

    `map_raw` gives the raw values along the file's axes, mapped anew by each call: pages that stay mapped count as
    memory of this process. `scratch` is what a compressed file was unpacked to; closing it removes it.
    """

    name: str
    grid: VolumeGrid
    map_raw: Callable[[], np.ndarray]
    slope: float = 1.0
    intercept: float = 0.0
    scratch: IO[bytes] | None = None

    def read(self, box: Box) -> np.ndarray:
        """The values (*box.size) of a box along our axes, float32; raises SourceError on one that is no number."""
        values = self.read_raw(box).astype(np.float32)
        if self.is_scaled:
            values = values * np.float32(self.slope) + np.float32(self.intercept)
        if not np.isfinite(values).all():
            place = np.argwhere(~np.isfinite(values))[0] + box.start
            file_place = self.grid.box_in_file(Box(tuple(map(int, place)), (1, 1, 1))).start
            wrong = float(values[tuple(place - box.start)])
            raise SourceError(f"{self.name} has the value {wrong} at voxel {file_place}; replace it by a number")
        return values

    def read_raw(self, box: Box) -> np.ndarray:
        """The raw values (*box.size) of a box along our axes, in the type of the file."""
        return self.grid.to_oriented(np.array(self.map_raw()[self.grid.box_in_file(box).slices]))

    @property
    def is_scaled(self) -> bool:
        """Whether values differ from the raw ones."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def is_bytes(self) -> bool:
        """Whether values are whole numbers of 0 to 255 by their type."""
        return self.map_raw().dtype == np.uint8 and not self.is_scaled

    def strips(self) -> Iterator[np.ndarray]:
        """All values, float32, a few slices at a time."""
        shape = self.grid.oriented_shape
        rows = max(1, STRIP_VALUES // math.prod(shape[1:]))
        return (self.read(box) for box in blocks(shape, (rows, *shape[1:])))

    def close(self) -> None:
        """Remove the scratch file."""
        if self.scratch:
            self.scratch.close()


@dataclass(frozen=True)
class Scratch:
    """Where raw values in the order of the file (first axis fastest) are put while a file is unpacked."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.dtype.itemsize * math.prod(self.shape)

    def fill(self, parts: Iterator[bytes]) -> tuple[Callable[[], np.ndarray], IO[bytes] | None]:
        """Take the bytes of all values; gives what maps them, and the scratch file that holds them, if one does.

        Scratch files lie where the system keeps temporary ones (TMPDIR). Raises OSError where the disk is full.
        """
        if self.nbytes <= IN_MEMORY_BYTES:
            array = np.frombuffer(b"".join(parts), self.dtype).reshape(self.shape, order="F")
            return lambda: array, None
        file = TemporaryFile(prefix="volume-")  # noqa: SIM115  # open as long as the volume is
        try:
            for part in parts:
                file.write(part)
            file.flush()
        except BaseException:
            file.close()
            raise
        return lambda: np.memmap(file, self.dtype, "r", shape=self.shape, order="F"), file


def check_size(name: str, needed: int, most: int) -> None:
    """Raise SourceError for a file that says it had more bytes of voxels than it can have, before memory is taken."""
    if needed > most:
        raise SourceError(f"{name} is cut short: it holds at most {most} bytes of {needed}; {AGAIN}")


def three_axes(name: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """The shape of a file without further axes of one voxel; raises SourceError for other than three axes."""
    if len(shape) < 3 or max(shape[3:], default=1) > 1 or min(shape) < 1:
        advice = "split it into volumes" if len(shape) > 3 else "a volume has three"
        raise SourceError(f"{name} is {tuple(shape)}: {len(shape)} axes; {advice}")
    return shape[0], shape[1], shape[2]


def need(library: str) -> ModuleType:
    """A library that only volumes need; raises SourceError that says how to install it."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise SourceError(
            f"{library} is not installed, which volumes need: pip install --requirement requirements-volumes.txt "
            "--constraint constraints.txt"
        ) from error
