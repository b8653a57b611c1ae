"""TIFF slides of every layout - classic or BigTIFF, strips or tiles, pyramids, OME SubIFDs, planar - by region."""

import itertools
import math
from pathlib import Path
from threading import Lock

import numpy as np
import tifffile

from data.patches.grid import Box
from data.sources.recent import Recent
from data.sources.source import Source, SourceError, naming
from data.sources.spacing import read_spacing_um
from data.sources.stream import BYTES, SIZES
from data.sources.tiff_claims import refuse_claims

SPATIAL, CHANNEL = "YX", "SC"
RECENT_BYTES = 2**24  # decoded strips or tiles that a level keeps: about a row of them
PLAIN_BYTES = 2**20  # longer strips of bare bytes are read in parts
SEGMENT_BYTES = 2**30  # that a tile or strip may have decoded
HEADER_BYTES = 8
YCBCR, JPEG = 6, 7
COLOURS = {2, YCBCR}  # RGB, and what JPEG decodes to it
PHOTOMETRICS = {0, 1, 3} | COLOURS  # white is zero, black is zero, palette
ALPHA = {1, 2}  # of ExtraSamples
BITS = {1, 2, 4, 8}  # of a grey pixel
ORIENTATION, TURNED = 274, range(2, 9)  # the tag, and its values for an image that is to be turned or mirrored


class TiffSource(Source):
    """A TIFF image; each read decodes only the strips or tiles under the box.

    Grey, RGB and palette images of 8 bits are read; an alpha channel is left out; axes besides row, column and
    channel must have length 1. Raises SourceError, naming the file, for anything else or damaged. A compressed tile or
    strip is decoded whole, and none that would take more than SEGMENT_BYTES, whatever a file declares.
    """

    def __init__(self, path: Path):
        self.path = path
        with naming(f"{path.name} is no readable TIFF"):
            self._file = tifffile.TiffFile(path, _multifile=False)  # OME metadata could name any file
        try:
            with naming(f"{path.name} is no readable TIFF"):
                refuse_claims(self._file, path)
                self._levels = [_Level(path, *pages) for pages in _level_pages(self._file, path)]
                self.spacing_um = read_spacing_um(self._file, self._levels[0].pages[0])
        except BaseException:
            self._file.close()
            raise
        self.level_shapes = tuple(level.shape for level in self._levels)
        self.channels = self._levels[0].channels
        self._lock = Lock()

    def read(self, box: Box, level: int = 0) -> np.ndarray:
        """Pixels (rows, columns, channels) uint8 of a box at a level."""
        with naming(f"{self.path.name} is damaged"):
            return self._levels[level].read(box, self._lock)

    def tile_shape(self, level: int) -> tuple[int, int]:
        """Rows and columns of the tiles or strips of a level."""
        return self._levels[level].chunk

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Level:
    """One resolution: a page with all channels, or a page for each channel."""

    def __init__(self, path: Path, pages: list[tifffile.TiffPage], channels: int):
        first = pages[0]
        self.path = path
        self.pages = pages
        self.shape = (first.imagelength, first.imagewidth)
        self.channels = channels
        self.unwritten = 255 if channels == 3 else 0  # of tiles that a sparse file leaves out: glass, or no object
        self.samples = 1 if first.planarconfig == 2 else first.samplesperpixel
        self.is_plain = all(_is_plain(page) for page in pages)
        self.chunk = (first.tilelength, first.tilewidth) if first.is_tiled else (first.rowsperstrip, first.imagewidth)
        if self.is_plain:
            self.chunk = (min(self.chunk[0], max(1, PLAIN_BYTES // (self.shape[1] * self.samples))), self.shape[1])
        if 0 in (*self.shape, *self.chunk):
            raise SourceError(f"{path.name} declares {self.shape} pixels in tiles or strips of {self.chunk}")
        self.recent = Recent(RECENT_BYTES)
        self.chunks = tuple(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))
        if not self.is_plain:
            self._refuse_claims()

    def _refuse_claims(self) -> None:
        """Raise SourceError where what the file declares cannot be true, or would take too much memory."""
        size = math.prod(self.chunk) * self.samples
        if size > SEGMENT_BYTES:
            trouble = f"its tiles or strips of {self.chunk} would take {size / 2**30:.1f} GiB each"
            raise SourceError(f"{self.path.name} cannot be read by region: {trouble}; save it with tiles of 512")
        for page in self.pages:
            planes = page.samplesperpixel if page.planarconfig == 2 else 1
            declared, listed = planes * math.prod(self.chunks), len(page.dataoffsets)
            if listed < declared:
                trouble = f"{self.shape} pixels need {declared} tiles or strips, {listed} are listed"
                raise SourceError(f"{self.path.name} is damaged: {trouble}")
            if page.compression not in BYTES and page.compression not in SIZES:
                name = getattr(page.compression, "name", page.compression)
                raise SourceError(
                    f"{self.path.name} has compression {name}, which is not read; save it as JPEG or deflate"
                )

    def read(self, box: Box, lock: Lock) -> np.ndarray:
        pixels = np.zeros((*box.size, self.channels), np.uint8)
        if 0 in box.size:
            return pixels
        spans = [range(a // c, (b - 1) // c + 1) for a, b, c in zip(box.start, box.stop, self.chunk, strict=True)]
        for number, page in enumerate(self.pages):
            planes = page.samplesperpixel if page.planarconfig == 2 else 1
            for plane, row, column in itertools.product(range(min(planes, self.channels)), *spans):
                index = (plane * self.chunks[0] + row) * self.chunks[1] + column
                segment = self._segment(page, number, index, lock)
                self._paste(pixels, box, segment, (row, column), max(plane, number))
        return pixels

    def _segment(self, page: tifffile.TiffPage, number: int, index: int, lock: Lock) -> np.ndarray:
        """A segment (rows, columns, samples), decoded or at hand."""
        return self.recent.get((number, index), lambda: self._decode(page, index, lock))

    def _decode(self, page: tifffile.TiffPage, index: int, lock: Lock) -> np.ndarray:
        with naming(f"{self.path.name} is damaged: segment {index} does not decode"):
            with lock:  # tifffile looks into the file also to choose the decoder and to list the segments
                decode, jpegtables = page.decode, page.jpegtables
                offset, count = self._locate(page, index)
                if count == 0:
                    return np.broadcast_to(np.uint8(self.unwritten), (*self.chunk, self.samples))
                handle = page.parent.filehandle
                found = min(count, max(0, handle.size - offset)) if offset >= HEADER_BYTES else 0
                if found < count:  # found out before so much is read
                    raise SourceError(f"{self.path.name} is damaged: {found} of {count} bytes of segment {index} found")
                handle.seek(offset)
                data = handle.read(count)
            if self.is_plain:
                return np.frombuffer(data, np.uint8).reshape(-1, self.shape[1], self.samples)
            self._refuse_size(page, data)
            segment = decode(data, index, jpegtables=jpegtables)[0][0]
            self._refuse_part(index, segment)
            return segment

    def _refuse_size(self, page: tifffile.TiffPage, data: bytes) -> None:
        """Raise ValueError where a segment would decode to more pixels than it has room for."""
        if page.compression in SIZES:
            size = SIZES[page.compression](data)
            if any(own > most for own, most in zip(size, self.chunk, strict=True)):
                raise ValueError(f"it declares {size} pixels in place of {self.chunk}")

    def _refuse_part(self, index: int, segment: np.ndarray) -> None:
        """Raise ValueError where a segment decodes to fewer pixels than the image has there."""
        place = divmod(index % math.prod(self.chunks), self.chunks[1])
        axes = zip(place, self.chunk, self.shape, strict=True)
        needed = tuple(min(step, n - number * step) for number, step, n in axes)
        if any(have < need for have, need in zip(segment.shape, needed, strict=False)):
            raise ValueError(f"it has {segment.shape[:2]} pixels in place of {needed}")

    def _locate(self, page: tifffile.TiffPage, index: int) -> tuple[int, int]:
        """Offset and length in bytes of a segment; plain strips are cut into shorter ones."""
        if not self.is_plain:
            return page.dataoffsets[index], page.databytecounts[index]
        plane, number = divmod(index, self.chunks[0])
        first = number * self.chunk[0]
        rows, line = min(self.chunk[0], self.shape[0] - first), self.shape[1] * self.samples
        return page.dataoffsets[0] + (plane * self.shape[0] + first) * line, rows * line

    def _paste(
        self, pixels: np.ndarray, box: Box, segment: np.ndarray, place: tuple[int, int], first_channel: int
    ) -> None:
        """Copy a decoded segment (rows, columns, samples) to where it lies in the box."""
        inside, taken = [], []  # worked out without boxes, which would take as long as the copy
        for number, step, have, first, wide in zip(place, self.chunk, segment.shape, box.start, box.size, strict=False):
            origin = number * step - first
            low, high = max(origin, 0), min(origin + have, wide)
            inside.append(slice(low, high))
            taken.append(slice(low - origin, high - origin))
        samples = min(segment.shape[2], self.channels - first_channel)
        pixels[(*inside, slice(first_channel, first_channel + samples))] = segment[(*taken, slice(samples))]


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether the strips are bare bytes one after the other (often all is one), so that single rows can be read."""
    if page.dtype != np.uint8 or page.bitspersample != 8 or page.is_tiled or not page.is_contiguous:
        return False
    is_there = HEADER_BYTES <= page.dataoffsets[0] <= page.parent.filehandle.size - page.nbytes
    return is_there and sum(page.databytecounts) == page.nbytes


def _level_pages(file: tifffile.TiffFile, path: Path) -> list[tuple[list[tifffile.TiffPage], int]]:
    """Pages and channel count of each level, from full resolution down."""
    if not len(file.pages) or not file.series:
        raise SourceError(f"{path.name} holds no image")
    series = max(file.series, key=lambda one: math.prod(_side_lengths(one)))
    rivals = [one for one in file.series if _side_lengths(one) == _side_lengths(series) and not one.keyframe.is_reduced]
    if len(rivals) > 1:
        raise SourceError(
            f"{path.name} holds {len(rivals)} images of {_side_lengths(series)}; save each as its own file"
        )
    levels = [_pages_of(level, path) for level in series.levels]
    if len(levels) == 1 and len(file.series) > 1:
        levels += [_pages_of(other, path) for other in _smaller_copies(file.series, series)]
    return levels


def _side_lengths(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return sizes.get("Y", 0), sizes.get("X", 0)


def _smaller_copies(
    all_series: list[tifffile.TiffPageSeries], full: tifffile.TiffPageSeries
) -> list[tifffile.TiffPageSeries]:
    """Series that are reduced images of `full` by their own tag and proportions: a pyramid of plain pages."""
    copies = [one for one in all_series if one is not full and one.axes == full.axes and one.keyframe.is_reduced]
    return sorted((one for one in copies if _is_in_proportion(one, full)), key=lambda one: -one.size)


def _is_in_proportion(small: tifffile.TiffPageSeries, full: tifffile.TiffPageSeries) -> bool:
    """Whether both show the same extent, sides rounded by up to a pixel; a label or macro picture does not."""
    (rows, columns), (small_rows, small_columns) = _side_lengths(full), _side_lengths(small)
    return abs(small_rows * columns - small_columns * rows) <= rows + columns


def _pages_of(series: tifffile.TiffPageSeries, path: Path) -> tuple[list[tifffile.TiffPage], int]:
    """Pages of a series, one or one a channel, and the number of channels that are kept."""
    page = series.keyframe
    count = _channel_count(series, path)
    if page.dtype not in (np.dtype(np.uint8), np.dtype(bool)):
        raise SourceError(f"{path.name} has {page.dtype} pixels; convert it to 8 bits")
    if page.photometric not in PHOTOMETRICS:
        name = getattr(page.photometric, "name", page.photometric)
        raise SourceError(f"{path.name} has {name} colours; convert it to RGB")
    if page.photometric == YCBCR and page.compression != JPEG:  # decoders would hand over brightness as red
        raise SourceError(f"{path.name} has YCbCr colours without JPEG; convert it to RGB")
    if page.bitspersample != 8 and (count > 1 or page.bitspersample not in BITS):
        raise SourceError(f"{path.name} has {count} channels of {page.bitspersample} bits; convert it to 8 bits")
    turn = page.tags.valueof(ORIENTATION)
    if turn in TURNED:  # some programs heed it and some do not, so that labels may be of either
        raise SourceError(f"{path.name} is marked as turned (Orientation {turn}); save it upright")
    pages = [each.aspage() for each in series.pages if each is not None]
    if len(pages) * page.samplesperpixel != count:
        raise SourceError(f"{path.name} has {count} channels in {len(pages)} pages: damaged, or not one page with all")
    if count in (2, 4) and not _has_alpha(page):
        raise SourceError(f"{path.name} has {count} channels that are not colours and alpha; 1 or 3 are read")
    return pages, {2: 1, 4: 3}.get(count, count)


def _has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the last sample of each pixel is its opacity; of four samples of a colour image it can be no other."""
    if page.samplesperpixel == 4:
        return page.photometric in COLOURS
    return page.samplesperpixel == 2 and bool(ALPHA & set(page.extrasamples))


def _channel_count(series: tifffile.TiffPageSeries, path: Path) -> int:
    """Channels of a series: its samples, named channels, or three planes of an axis without a name."""
    sizes = {axis: n for axis, n in zip(series.axes, series.shape, strict=True) if n > 1 or axis in SPATIAL}
    channels = [n for axis, n in sizes.items() if axis in CHANNEL]
    if sizes.get("Q") == sizes.get("X") == 3:
        raise SourceError(f"{path.name} has axes {series.axes} of {series.shape}: which 3 are the channels is unclear")
    if not channels and sizes.get("Q") == 3:
        channels = [sizes.pop("Q")]
    if not set(SPATIAL) <= set(sizes) or set(sizes) - set(SPATIAL + CHANNEL) or len(channels) > 1:
        raise SourceError(f"{path.name} has axes {series.axes} of {series.shape}; rows, columns and channels are read")
    count = channels[0] if channels else 1
    if count > 4:
        raise SourceError(f"{path.name} has {count} channels; 1, 3 or 4 are read")
    return count
