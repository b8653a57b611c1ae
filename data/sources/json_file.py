"""JSON label files, also gzipped; long lists are parsed item by item, since parsed ones take much room."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from data.sources.source import SourceError

GZIP = b"\x1f\x8b"
MOST_TIMES, ALWAYS_BYTES = 100, 2**24  # that a file may grow by when it is unpacked, and the size that any may have
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
            return _items(text, _skip(text, place + 1), in_object=True)
        content[key], place = _value(text, place)
        place = _after(text, place, ",", "}")
    _check_end(text, place + 1, in_object=False)
    return content


def load_json(path: Path) -> dict:
    """The whole object of a file; raises SourceError."""
    text = _read_text(path).strip()
    content, end = _value(text, 0)
    _check_end(text, end, in_object=False)
    if not isinstance(content, dict):
        raise SourceError("holds no JSON object")
    return content


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        data = _unzip(data) if data.startswith(GZIP) else data
        return data.decode(json.detect_encoding(data)).lstrip("\ufeff")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"is damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"is no text: {error}") from error


def _unzip(data: bytes) -> bytes:
    """What is compressed, of which there is at most MOST_TIMES as much: outlines take a fifth, zeros a thousandth."""
    most = max(ALWAYS_BYTES, MOST_TIMES * len(data))
    with gzip.GzipFile(fileobj=BytesIO(data)) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise SourceError(f"is {len(data)} bytes that become more than {most}: no outlines are like that")
    return content


def _items(text: str, place: int, in_object: bool = False) -> Iterator[object]:
    while not text.startswith("]", place):
        item, place = _value(text, place)
        yield item
        place = _after(text, place, ",", "]")
    _check_end(text, place + 1, in_object)


def _check_end(text: str, place: int, in_object: bool) -> None:
    """Refuse what follows the end of a list, besides the other values of an object that it is in."""
    while in_object:
        place = _after(text, place, ",", "}")
        in_object = not text.startswith("}", place)
        if in_object:
            key, place = _value(text, place)
            _, place = _value(text, _after(text, place, ":"))
            if key == "features":
                raise SourceError("has two lists of features")
        else:
            place += 1
    if _skip(text, place) < len(text):
        raise SourceError(f"is no readable JSON: it goes on after its end at character {place}")


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
