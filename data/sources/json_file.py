"""JSON label files, also gzipped; long lists are parsed item by item, since parsed ones take much room."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from data.sources.source import SourceError

GZIP = b"\x1f\x8b"
MOST_PACKED = 100  # times smaller a text of outlines may be when packed; text of one letter becomes a thousand times
LEAST_BYTES = 2**26  # that may be unpacked of any file
SPACE = re.compile(r"[ \t\n\r]*+")
DECODE = json.JSONDecoder().raw_decode


def read_json(path: Path) -> dict | Iterator[object]:
    """The object of a file; or, of a list or an object with a list `features`, an iterator over the items.

    Raises SourceError, also while iterating.
    """
    text = _read_text(path)
    place = _skip(text, 0)
    if text.startswith("[", place):
        return _items(text, _skip(text, place + 1))
    if not text.startswith("{", place):
        raise SourceError("holds no JSON object and no list")
    content: dict = {}
    place = _skip(text, place + 1)
    while not text.startswith("}", place):
        key, place = _value(text, place)
        if not isinstance(key, str):
            raise SourceError(f"is no readable JSON: {str(key)[:40]!r} is no name")
        place = _after(text, place, ":")
        if key == "features" and text.startswith("[", place):
            return _items(text, _skip(text, place + 1))
        content[key], place = _value(text, place)
        place = _after(text, place, ",", "}")
    return content


def load_json(path: Path) -> dict:
    """The whole object of a file; raises SourceError."""
    content, _ = _value(_read_text(path).strip(), 0)
    if not isinstance(content, dict):
        raise SourceError("holds no JSON object")
    return content


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        data = _unpacked(data) if data.startswith(GZIP) else data
        return data.decode(json.detect_encoding(data)).lstrip("\ufeff")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"is no text: {error}") from error


def _unpacked(data: bytes) -> bytes:
    """What is packed in gzip, unless it is far more than outlines can ever be packed to."""
    most = max(LEAST_BYTES, MOST_PACKED * len(data))
    with gzip.open(io.BytesIO(data)) as file:
        unpacked = file.read(most + 1)
    if len(unpacked) > most:
        raise SourceError(f"unpacks to more than {most:,} bytes, {MOST_PACKED} times its own; no outlines do")
    return unpacked


def _items(text: str, place: int) -> Iterator[object]:
    while not text.startswith("]", place):
        item, place = _value(text, place)
        yield item
        place = _after(text, place, ",", "]")


def _value(text: str, place: int) -> tuple[object, int]:
    """The value that begins at a place, and where it ends."""
    try:
        return DECODE(text, place)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"is no readable JSON: {error}") from error


def _after(text: str, place: int, mark: str, end: str = "") -> int:
    """The place after the mark that follows a value, or that of the `end`, which may stand there as well."""
    place = _skip(text, place)
    if text.startswith(mark, place):
        return _skip(text, place + 1)
    if end and text.startswith(end, place):
        return place
    raise SourceError(f"is no readable JSON: {mark!r} is missing at character {place}")


def _skip(text: str, place: int) -> int:
    match = SPACE.match(text, place)
    assert match  # even nothing matches
    return match.end()
