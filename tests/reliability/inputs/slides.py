"""Slides that are damaged, huge, odd or no slides."""

import struct
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from resource import RLIMIT_AS, getrlimit, setrlimit

import imagecodecs
import numpy as np
import tifffile

from tests.reliability.inputs.results import Check, shows
from tests.reliability.room import ODD, Room, draw, write_slide
from utils.rle import encode_rle

SEED = 7
GIBIBYTE = 2**30


def zero_bytes(room: Room) -> None:
    """A file without content."""
    _bytes(room, b"")


def text(room: Room) -> None:
    """Prose under the name of a slide."""
    _bytes(room, b"no picture at all\n" * 50)


def archive(room: Room) -> None:
    """A ZIP under the name of a slide."""
    room.label("1 2")
    with zipfile.ZipFile(room.slide(), "w") as file:
        file.writestr("slide.tiff", "no picture")


def header_only(room: Room, first: int) -> None:
    """Eight bytes that point to a first directory, and perhaps some zeros behind them."""
    _bytes(room, b"II*\0" + struct.pack("<I", first) + bytes(100 if first != 8 else 0))


def cut_header(room: Room) -> None:
    """Half a header."""
    _bytes(room, b"II*\0")


def loop(room: Room, back: int) -> Check:
    """Directories of a pyramid, the last of which names itself or one before it as the next."""
    image, mask = _labelled(room)
    with tifffile.TiffWriter(room.slide()) as file:
        for level in range(3):
            given = {"resolution": (20_000 / 2**level,) * 2, "resolutionunit": "CENTIMETER"}
            pixels, kind = image[:: 2**level, :: 2**level], int(level > 0)
            file.write(pixels, photometric="rgb", tile=(64, 64), subfiletype=kind, metadata=None, **given)
    with tifffile.TiffFile(room.slide()) as file:
        places = [page.offset for page in file.pages]
    content = bytearray(room.slide().read_bytes())
    (entries,) = struct.unpack_from("<H", content, places[-1])
    struct.pack_into("<I", content, places[-1] + 2 + 12 * entries, places[-1 - back])
    room.slide().write_bytes(content)
    return shows(image, mask)


def truncated(room: Room, tiled: bool) -> None:
    """A file that ends in the middle of its last tile or strip."""
    _write(room, **({"compression": "zlib"} if tiled else {"tile": None, "rowsperstrip": 16}))
    offsets, counts = _segments(room)
    last = int(np.argmax(offsets))
    room.slide().write_bytes(room.slide().read_bytes()[: offsets[last] + counts[last] // 2])


def rubbish_tile(room: Room, compression: str, part: str) -> None:
    """Random bytes in the place of a tile, or of the middle half of it."""
    _write(room, compression=compression)
    offsets, counts = _segments(room)
    skipped = counts[4] // 4 if part == "middle" else 0
    content, rng = bytearray(room.slide().read_bytes()), np.random.default_rng(0)
    start, stop = offsets[4] + skipped, offsets[4] + counts[4] - skipped
    content[start:stop] = rng.bytes(stop - start)
    room.slide().write_bytes(content)


def cut_tile(room: Room, compression: str) -> None:
    """A tile whose table gives it half of its bytes; decoders of JPEG make up the rest in grey."""
    _write(room, compression=compression)
    _, counts = _segments(room)
    retag(room, TileByteCounts=(*counts[:4], counts[4] // 2, *counts[5:]))


def tile_at_zero(room: Room) -> None:
    """A tile of bare bytes that the table puts at the file's header."""
    _write(room)
    offsets, _ = _segments(room)
    retag(room, TileOffsets=(*offsets[:4], 0, *offsets[5:]))


def sparse(room: Room) -> Check:
    """A tile of no bytes, which is glass."""
    image, mask = _write(room, compression="zlib")
    offsets, counts = _segments(room)
    retag(room, TileOffsets=(0, *offsets[1:]), TileByteCounts=(0, *counts[1:]))
    room.options["TILES.MIN_TISSUE"] = 0.0  # or the tile would be dropped
    image = image.copy()
    image[:64, :64] = 255
    return shows(image, mask, mean=image.mean(-1) > 255 / 2)


def declared(room: Room, rows: int, columns: int, compression: str | None) -> None:
    """A slide of a few kilobytes that claims to be huge; the program has little more memory than it has now."""
    _write(room, compression=compression)
    retag(room, ImageLength=rows, ImageWidth=columns)
    room.around.append(little_memory)
    room.options["TILES.MIN_TISSUE"] = 0.0  # every place is looked at


def one_segment(room: Room, compression: str | None, is_sparse: bool) -> None:
    """A slide that claims to be a single tile of ten gigabytes, perhaps one that was never written."""
    _write(room, compression=compression, tile=(192, 192))
    retag(room, ImageLength=60_000, ImageWidth=60_000, TileLength=60_000, TileWidth=60_000)
    if is_sparse:
        retag(room, TileOffsets=0, TileByteCounts=0)
    room.around.append(little_memory)


def count_of_gigabytes(room: Room) -> None:
    """A table that gives a tile four gigabytes of the file."""
    _write(room, compression="zlib")
    _, counts = _segments(room)
    retag(room, TileByteCounts=(2**32 - 1, *counts[1:]))
    room.around.append(little_memory)


def bomb(room: Room, compression: str) -> None:
    """A tile of 64 x 64 whose data decode to 300 MB (of deflate, 10 MB of JPEG), in little memory."""
    _write(room, compression=compression)
    offsets, counts = _segments(room)
    content = _bombs()[compression]()
    end = room.slide().stat().st_size
    with room.slide().open("ab") as file:
        file.write(content)
    retag(room, TileOffsets=(end, *offsets[1:]), TileByteCounts=(len(content), *counts[1:]))
    room.around.append(little_memory)


def _bombs() -> dict[str, Callable[[], bytes]]:
    def jpeg() -> bytes:
        stream = imagecodecs.jpeg_encode(np.zeros((64, 64, 3), np.uint8))
        at = stream.index(b"\xff\xc0")
        return stream[: at + 5] + struct.pack(">HH", 65_000, 65_000) + stream[at + 9 :]

    return {"zlib": lambda: imagecodecs.zlib_encode(bytes(3 * 10**8), level=1), "jpeg": jpeg}


def same(room: Room, kind: str) -> Check:
    """The pixels of a plain slide in another layout."""
    image, mask = _labelled(room)
    LAYOUTS[kind](room, image)
    return shows(image, mask)


def _ome(room: Room, image: np.ndarray) -> None:
    size = {"axes": "TCZYXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(room.slide(), image[None, None, None], photometric="rgb", ome=True, metadata=size)


LAYOUTS: dict[str, Callable[[Room, np.ndarray], None]] = {
    "BigTIFF": lambda room, image: tifffile.imwrite(room.slide(), image, photometric="rgb", bigtiff=True, **_SCALE),
    "big-endian": lambda room, image: tifffile.imwrite(room.slide(), image, photometric="rgb", byteorder=">", **_SCALE),
    "planar": lambda room, image: write_slide(room.slide(), np.moveaxis(image, -1, 0), planarconfig="separate"),
    "planes in pages": lambda room, image: tifffile.imwrite(
        room.slide(), np.ascontiguousarray(np.moveaxis(image, -1, 0)), photometric="minisblack", **_SCALE
    ),
    "5-D": lambda room, image: tifffile.imwrite(room.slide(), image[None, None], photometric="rgb", **_SCALE),
    "TCZYX of one": _ome,
    "RGBA": lambda room, image: write_slide(
        room.slide(), np.dstack([image, image[..., 1]]), extrasamples=["unassalpha"], compression="zlib"
    ),
    "LZW": lambda room, image: write_slide(room.slide(), image, compression="lzw", predictor=2),
    "strips": lambda room, image: write_slide(room.slide(), image, tile=None, rowsperstrip=7, compression="packbits"),
    "bytes behind a tile": lambda room, image: _longer(room, image),
}
_SCALE = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def _longer(room: Room, image: np.ndarray) -> None:
    write_slide(room.slide(), image, compression="zlib")
    _, counts = _segments(room)
    retag(room, TileByteCounts=(2 * counts[0], *counts[1:]))


def of_shape(room: Room, rows: int, columns: int) -> Check:
    """A slide of an odd shape."""
    image, mask = draw(SEED, (rows, columns))
    write_slide(room.slide(), image)
    room.label(encode_rle(mask))
    return shows(image, mask)


def odd_kind(room: Room, kind: str) -> None:
    """Pixels, channels or axes that are none of a slide."""
    image, mask = draw(SEED)
    room.label(encode_rle(mask))
    KINDS[kind](room, image)


KINDS: dict[str, Callable[[Room, np.ndarray], None]] = {
    "TCZYX": lambda room, image: tifffile.imwrite(
        room.slide(), np.stack([image[..., 0]] * 12).reshape(2, 3, 2, *image.shape[:2]), photometric="minisblack"
    ),
    "3xHx3": lambda room, image: tifffile.imwrite(
        room.slide(), np.ascontiguousarray(np.moveaxis(image[:, :3], -1, 0)), photometric="minisblack"
    ),
    "two images": lambda room, image: _two_images(room, image),
    "four stains": lambda room, image: tifffile.imwrite(
        room.slide(), np.stack([image[..., 0]] * 4), photometric="minisblack", ome=True, metadata={"axes": "CYX"}
    ),
    "16-bit": lambda room, image: write_slide(room.slide(), image.astype(np.uint16) * 257),
    "float with NaN": lambda room, image: write_slide(
        room.slide(), np.where(image > 200, np.nan, image.astype(np.float32) / 255)
    ),
    "palette": lambda room, image: write_slide(
        room.slide(), image[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16)
    ),
    "single channel": lambda room, image: write_slide(room.slide(), image[..., 0], photometric="minisblack"),
    "CMYK": lambda room, image: write_slide(room.slide(), np.dstack([image] * 2)[..., :4], photometric="separated"),
    "1 bit of RGB": lambda room, image: _with(room, image, compression="zlib", tags={"BitsPerSample": (1, 1, 1)}),
    "YCbCr": lambda room, image: _with(room, image, compression="zlib", tags={"PhotometricInterpretation": 6}),
    "unknown colours": lambda room, image: _with(room, image, tags={"PhotometricInterpretation": 77}),
    "unknown compression": lambda room, image: _with(room, image, tags={"Compression": 34887}),
    "turned": lambda room, image: write_slide(room.slide(), image, extratags=[(274, 3, 1, 6, True)]),
    "tiles of no width": lambda room, image: _with(room, image, tags={"TileWidth": 0}),
}


def _with(room: Room, image: np.ndarray, tags: dict[str, object], **options: object) -> None:
    write_slide(room.slide(), image, **options)
    retag(room, **tags)


def _two_images(room: Room, image: np.ndarray) -> None:
    with tifffile.TiffWriter(room.slide(), ome=True) as file:
        for pixels in (image, 255 - image):
            file.write(pixels, photometric="rgb")


def pixel_size(room: Room, above: int, below: int) -> None:
    """A pixel size that is none, of a slide that is to be cut by microns."""
    _write(room)
    retag(room, XResolution=(above, below), YResolution=(above, below))
    room.options |= MICRONS


def no_pixel_size(room: Room) -> None:
    """A slide without a pixel size that is to be cut by microns."""
    image, mask = draw(SEED)
    tifffile.imwrite(room.slide(), image, photometric="rgb", tile=(64, 64))
    room.label(encode_rle(mask))
    room.options |= MICRONS


def pixel_size_of_ome(room: Room, size: str) -> None:
    """A pixel size in OME metadata that is no number."""
    image, _ = _labelled(room)
    metadata = {"PhysicalSizeX": 0.12345, "PhysicalSizeY": 0.12345}
    tifffile.imwrite(room.slide(), image, photometric="rgb", tile=(64, 64), ome=True, metadata=metadata)
    room.slide().write_bytes(room.slide().read_bytes().replace(b'"0.12345"', f'"{size}"'.ljust(9).encode()))
    room.options |= MICRONS


def damaged_pixel_size(room: Room, tag: str) -> Check:
    """A tag of the pixel size that holds text, of a slide that is cut by reduction."""
    image, mask = _write(room)
    content = bytearray(room.slide().read_bytes())
    with tifffile.TiffFile(room.slide()) as file:
        content[file.pages[0].tags[tag].offset + 2] = 2
    room.slide().write_bytes(content)
    return shows(image, mask)


MICRONS = {"TILES.SPACING_UM": 0.5}


@contextmanager
def little_memory():
    """A gigabyte more than the process has by now."""
    before = getrlimit(RLIMIT_AS)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    setrlimit(RLIMIT_AS, (pages * 4096 + GIBIBYTE, before[1]))
    try:
        yield
    finally:
        setrlimit(RLIMIT_AS, before)


def retag(room: Room, **tags: object) -> None:
    """Give tags of the first page of the odd slide other values."""
    with tifffile.TiffFile(room.slide(), mode="r+b") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value)


def _bytes(room: Room, content: bytes) -> None:
    room.slide().write_bytes(content)
    room.label("1 2")


def _labelled(room: Room) -> tuple[np.ndarray, np.ndarray]:
    image, mask = draw(SEED)
    room.label(encode_rle(mask), ODD)
    return image, mask


def _write(room: Room, **options: object) -> tuple[np.ndarray, np.ndarray]:
    image, mask = _labelled(room)
    write_slide(room.slide(), image, **options)
    return image, mask


def _segments(room: Room) -> tuple[tuple[int, ...], tuple[int, ...]]:
    with tifffile.TiffFile(room.slide()) as file:
        return file.pages[0].dataoffsets, file.pages[0].databytecounts
