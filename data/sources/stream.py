"""The size that a compressed segment of a TIFF declares for itself, known before memory is given to its pixels."""

import struct
from collections.abc import Callable, Iterator

Size = tuple[int, int]  # rows, columns
NO_FRAME = {0xC4, 0xC8, 0xCC}  # markers of JPEG among those of frames that begin none
END = b"\xff\xd9"  # of a JPEG
BARE_J2K, BARE_JXL = b"\xff\x4f\xff\x51", b"\xff\x0a"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # of width to height in JPEG XL, by number - 1
JXL_BITS = (9, 13, 18, 30)


def jpeg_size(data: bytes) -> Size:
    """Size of a JPEG; raises ValueError where it has none or lacks its end, which decoders make up in grey."""
    if END not in data:
        raise ValueError("the JPEG stream has no end")
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in NO_FRAME:
            return struct.unpack_from(">HH", data, place + 5)
        else:
            place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    raise ValueError("the JPEG stream declares no size")


def jpeg2000_size(data: bytes) -> Size:
    """Size of a bare JPEG 2000 codestream or of one in boxes."""
    stream = data if data.startswith(BARE_J2K) else b"".join(part for _, part in _boxes(data, {b"jp2c"}))
    right, low, left, top = struct.unpack_from(">4I", stream, 8)
    return low - top, right - left


def jpegxl_size(data: bytes) -> Size:
    """Size of a JPEG XL codestream, bare or in boxes (ISO/IEC 18181-1, SizeHeader)."""
    stream = data
    if not data.startswith(BARE_JXL):
        stream = b"".join(part[4 * (kind == b"jxlp") :] for kind, part in _boxes(data, {b"jxlc", b"jxlp"}))
    bits = _Bits(stream[2:18])
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.take(JXL_BITS[bits.take(2)]) + 1

    rows = side()
    ratio = bits.take(3)
    if not ratio:
        return rows, side()
    wide, high = RATIOS[ratio - 1]
    return rows, rows * wide // high


def png_size(data: bytes) -> Size:
    """Size of a PNG."""
    columns, rows = struct.unpack_from(">II", data, 16)
    return rows, columns


def webp_size(data: bytes) -> Size:
    """Size of a WebP: that of its canvas, of its lossless or of its lossy frame."""
    kind = data[12:16]
    if kind == b"VP8X":
        columns, rows = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        columns, rows = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    else:
        columns, rows = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return rows, columns


# by the number of a TIFF's compression; Aperio's 33003, whose colours are no RGB, is left to openslide
SIZES: dict[int, Callable[[bytes], Size]] = {
    7: jpeg_size,
    33004: jpeg2000_size,
    33005: jpeg2000_size,
    34712: jpeg2000_size,
    34933: png_size,
    50001: webp_size,
    50002: jpegxl_size,
}
BYTES = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}  # compressions that are decoded into just so much memory


class _Bits:
    """Whole numbers from bits, the lowest first."""

    def __init__(self, data: bytes):
        self.value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        taken = self.value & (1 << count) - 1
        self.value >>= count
        return taken


def _boxes(data: bytes, kinds: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Boxes of some kinds, as JPEG 2000 and JPEG XL keep their codestreams in."""
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        length = length or len(data) - place
        if length < head:
            raise ValueError(f"a box has {length} bytes")
        if kind in kinds:
            yield kind, data[place + head : place + length]
        place += length
