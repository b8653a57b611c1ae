"""The one product of inference: probabilities as chunked, compressed uint8 at the network's scale, on disk."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from data.patches.grid import Box, blocks, scale_box, whole
from data.sources.source import Source
from data.sources.volume_grid import VolumeGrid
from data.stitching.chunks import ChunkedArray, chunk_side
from utils.resample import axis_weights, needed_range, resample

CELLS_AT_ONCE = 2**20  # cells of the map or of a view that one resampling step may hold


@dataclass(frozen=True)
class Frame:
    """Where a map lies on its image: the part of level 0 that it covers, the image's shape, pixel size and classes.

    `grid` is where the file of a volume lies.
    """

    start_level0: tuple[int, ...]
    size_level0: tuple[int, ...]
    shape_level0: tuple[int, ...]
    classes: tuple[str, ...]
    spacing_um: tuple[float, ...] | None = None
    grid: VolumeGrid | None = None


def frame_of(source: Source, classes: list[str]) -> Frame:
    """The frame of an opened image."""
    box, shape = source.frame_level0
    return Frame(box.start, box.size, shape, tuple(classes), source.spacing_um, source.grid)


class ProbabilityMap:
    """Probabilities (K, *shape) uint8, 255 times p, of an image at the network's scale, on disk or in memory."""

    def __init__(self, array: ChunkedArray, frame: Frame):
        self.array = array
        self.frame = frame

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape at the network's scale."""
        return tuple(self.array.shape[1:])

    @property
    def pixel_um(self) -> tuple[float, ...] | None:
        """Pixel size of the map in um by axis, if the image states one."""
        if self.frame.spacing_um is None:
            return None
        axes = zip(self.frame.spacing_um, self.frame.size_level0, self.shape, strict=True)
        return tuple(um * full / own for um, full, own in axes)

    def read(self, box: Box) -> np.ndarray:
        """Probabilities (*box.size, K) uint8 of a box at the network's scale."""
        return np.moveaxis(self.array[(slice(None), *box.slices)], 0, -1)

    def write(self, row: int, rows: np.ndarray) -> None:
        """Store rows (K, n, *rest) uint8 from `row` on along axis 0; quickest in increasing order."""
        self.array[:, row : row + rows.shape[1]] = rows

    def flush(self) -> None:
        """Bring to disk what was written; whoever writes calls it at the end."""
        self.array.flush()

    def on_image(self, shape: tuple[int, ...]) -> "MapView":
        """The map on the whole image at another shape: level 0, or a smaller copy of it."""
        frame = self.frame
        axes = zip(frame.start_level0, frame.size_level0, frame.shape_level0, shape, strict=True)
        spans = [(round(a * n / full), round((a + size) * n / full)) for a, size, full, n in axes]
        return MapView(self, shape, Box(tuple(a for a, _ in spans), tuple(max(1, b - a) for a, b in spans)))

    def on_frame(self, shape: tuple[int, ...]) -> "MapView":
        """The map on the part of the image that it covers, at another shape."""
        return MapView(self, shape, whole(shape))


class MapView:
    """A probability map resampled to an image of `shape`, of which it covers a box; 0 elsewhere."""

    def __init__(self, probabilities: ProbabilityMap, shape: tuple[int, ...], covered: Box):
        self.probabilities = probabilities
        self.shape = shape
        self.covered = covered

    def read(self, box: Box) -> np.ndarray:
        """Probabilities (*box.size, K) uint8: linear where the view is finer than the map, area average where not."""
        values = np.zeros((*box.size, len(self.probabilities.frame.classes)), np.uint8)
        for part in self.parts(box):
            block = self.probabilities.read(self.cells(part))
            if block.any():
                values[part.seen_from(box.start).slices] = self.resampled(part, block)
        return values

    def parts(self, box: Box) -> Iterator[Box]:
        """Boxes that part what the map covers of a box, each small enough to be resampled in one step."""
        inside = box.seen_from(self.covered.start).within(self.covered.size)
        side = round(CELLS_AT_ONCE ** (1 / len(box.size)))
        axes = zip(self.covered.size, self.probabilities.shape, strict=True)
        size = tuple(max(1, side * n // max(n, own)) for n, own in axes)
        for part in blocks(inside.size, size):
            yield part.shifted(inside.start).shifted(self.covered.start)

    def cells(self, part: Box) -> Box:
        """The cells of the map that decide a box which the map covers."""
        ranges = [needed_range(*axis) for axis in self._axes(part)]
        return Box(tuple(a for a, _ in ranges), tuple(b - a for a, b in ranges))

    def resampled(self, part: Box, block: np.ndarray) -> np.ndarray:
        """Probabilities (*part.size, K) uint8 of a box which the map covers, from its cells."""
        if self.covered.size == self.probabilities.shape:
            return block
        weights = [axis_weights(*axis) if axis[2] != axis[3] else None for axis in self._axes(part)]
        return np.rint(resample(block, weights)).astype(np.uint8)

    def reach(self, cells: Box) -> Box:
        """A box outside of which no value depends on some cells of the map."""
        grown = Box(tuple(a - 1 for a in cells.start), tuple(n + 2 for n in cells.size))
        box = scale_box(grown, self.probabilities.shape, self.covered.size).within(self.covered.size)
        return box.shifted(self.covered.start)

    def _axes(self, part: Box) -> list[tuple[int, int, int, int]]:
        box = part.seen_from(self.covered.start)
        return list(zip(box.start, box.stop, self.covered.size, self.probabilities.shape, strict=True))


def create_map(path: Path, shape: tuple[int, ...], frame: Frame) -> ProbabilityMap:
    """A new map of zeros on disk; `path` is the folder of the array."""
    channels = len(frame.classes)
    array = zarr.create_array(
        store=LocalStore(path),
        shape=(channels, *shape),
        chunks=(channels, *(min(chunk_side(len(shape)), n) for n in shape)),
        dtype="uint8",
        fill_value=0,
        compressors=ZstdCodec(level=1),
        attributes={"frame": asdict(frame)},
    )
    return ProbabilityMap(ChunkedArray(array, path), frame)


def open_map(path: Path) -> ProbabilityMap:
    """A map that was written before; raises ValueError naming the folder if it is none."""
    try:
        array = zarr.open_array(store=LocalStore(path), mode="r")
        values = {name: _tuples(value) for name, value in dict(array.attrs)["frame"].items()}
        return ProbabilityMap(ChunkedArray(array, path), Frame(**values))
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no probability map: {error}") from error


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return VolumeGrid(**{name: _tuples(each) for name, each in value.items()})
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def copy_map(source: ProbabilityMap, path: Path) -> ProbabilityMap:
    """A new map with the same values."""
    copy = create_map(path, source.shape, source.frame)
    for rows in strips(source.shape):
        copy.write(rows.start[0], np.moveaxis(source.read(rows), -1, 0))
    copy.flush()
    return copy


def strips(shape: tuple[int, ...], rows: int = 0) -> list[Box]:
    """Boxes that part an image along axis 0, `rows` at a time or as many as a chunk has."""
    rows = rows or chunk_side(len(shape))
    return [Box((a, *(0,) * (len(shape) - 1)), (rows, *shape[1:])).within(shape) for a in range(0, shape[0], rows)]
