"""The structure of an ONNX file as bytes: whether all of its tensors lie in the file itself.

It is read without the onnx package, which prediction does not need, and before a runtime sees the file, which would
open whatever other file it names. Field numbers are those of onnx.proto; the form of the bytes is Protocol Buffers'.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5  # kinds of a field's content
DATA_LOCATION, EXTERNAL_DATA = 14, 13  # of a tensor; a location of 1 is another file
# which fields of a message hold messages that may hold a tensor
PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
DEEPEST = 100  # messages inside each other; Protocol Buffers' own limit


def refuse_external_data(path: Path) -> None:
    """Raise ValueError naming the file where a tensor of it lies in another one, or where it is no ONNX file."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            external = _is_external(content, "model", 0, len(content), 0)
    except OSError as error:
        raise ValueError(f"{path} is no readable ONNX file: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no readable ONNX file: {error}") from error
    if external:
        raise ValueError(f"{path} keeps tensors in another file, which is not read; export it as one file")


def _is_external(content: mmap.mmap, message: str, start: int, stop: int, depth: int) -> bool:
    if depth > DEEPEST:
        raise ValueError("its parts lie too deep in each other")
    for field, kind, first, last in _fields(content, start, stop):
        if message == "tensor" and (field == EXTERNAL_DATA or (field == DATA_LOCATION and first)):
            return True
        inner = PARTS[message].get(field)
        if inner and kind == BYTES and _is_external(content, inner, first, last, depth + 1):
            return True
    return False


def _fields(content: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message: number, kind, and where its content begins and ends; for a VARINT its value and 0."""
    place = start
    while place < stop:
        tag, place = _varint(content, place)
        field, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = _varint(content, place)
            yield field, kind, value, 0
            continue
        if kind == BYTES:
            length, place = _varint(content, place)
        elif kind in (FIXED_64, FIXED_32):
            length = 8 if kind == FIXED_64 else 4
        else:
            raise ValueError(f"its byte {place} begins no field")
        if place + length > stop:
            raise ValueError("it is cut off")
        yield field, kind, place, place + length
        place += length


def _varint(content: mmap.mmap, place: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, the lowest first, and where the next field begins."""
    value = shift = 0
    while True:
        byte = content[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError(f"its byte {place} begins no number")
