"""One self-contained HTML page about a run: numbers, tables and pictures; it loads nothing from anywhere."""

import base64
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import jinja2
import numpy as np

from utils.atomic import write_text

TEMPLATES = Path(__file__).parent / "templates"
PICTURE_BYTES = 600_000  # a picture is embedded as it is up to this size, if its sides allow it
WIDE = 1.9  # width over height from which a picture takes a row of its own
MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
Value = Any  # a number, a text, a link or None


@dataclass(frozen=True)
class Figures:
    """The numbers that count, as big cards: (label, value) each."""

    title: str
    items: Sequence[tuple[str, Value]]


@dataclass(frozen=True)
class Link:
    """A value that opens a file beside the page; `path` is relative to the page's folder."""

    text: str
    path: Path

    @property
    def address(self) -> str:
        """The path as a page names it."""
        return "/".join(map(quote, self.path.parts))


@dataclass(frozen=True)
class Table:
    """Rows under columns; numbers are set to the right, and a click on a column's name sorts by it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    note: str = ""


@dataclass(frozen=True)
class Pictures:
    """Pictures that open large at a click: (caption, path or the bytes of a picture file) each."""

    title: str
    items: Sequence[tuple[str, Path | str | bytes]]


@dataclass(frozen=True)
class Text:
    """Paragraphs of prose."""

    title: str
    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Listing:
    """A text in fixed width, folded away: a config, a log."""

    title: str
    text: str


Section = Figures | Table | Pictures | Text | Listing


@dataclass(frozen=True)
class Cell:
    """A value as it is shown; `order` is how a number is sorted, `address` where a link leads, both else empty."""

    shown: str
    order: str
    address: str = ""


def write_report(
    path: Path, title: str, sections: Sequence[Section], subtitle: str = "", max_side_px: int = 1600
) -> None:
    """Write the page; pictures longer than `max_side_px` are shrunk to it before they are embedded.

    Raises FileNotFoundError or ValueError, naming the file, for a picture that is missing or cannot be read.
    """
    parts = [_prepare(section, max_side_px) for section in sections]
    write_text(path, _environment().get_template("report.html").render(title=title, subtitle=subtitle, sections=parts))


def format_value(value: Value) -> str:
    """A value as a reader wants it: 3 decimals up to 10, thousands grouped, a dash for nothing."""
    if value is None or (isinstance(value, numbers.Real) and math.isnan(value)):
        return "\u2013"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    return _format_real(float(value)) if isinstance(value, numbers.Real) else str(value)


def _format_real(value: float) -> str:
    if math.isinf(value):
        return "\u221e" if value > 0 else "-\u221e"
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _prepare(section: Section, max_side_px: int) -> dict[str, Any]:
    """What the template shows of a section, its `kind` first."""
    shown: dict[str, Any] = {"kind": type(section).__name__, "title": section.title}
    match section:
        case Figures():
            shown["items"] = [(label, format_value(value)) for label, value in section.items]
        case Table():
            shown |= _prepare_table(section)
        case Pictures():
            shown["items"] = [(caption, *_embed(item, caption, max_side_px)) for caption, item in section.items]
        case Text():
            shown["paragraphs"] = section.paragraphs
        case Listing():
            shown["text"] = section.text
    return shown


def _prepare_table(table: Table) -> dict[str, Any]:
    wrong = [row for row in table.rows if len(row) != len(table.columns)]
    if wrong:
        raise ValueError(
            f"table {table.title!r} has {len(table.columns)} columns and a row of {len(wrong[0])}: {wrong[0]}"
        )
    rows = [[_cell(value) for value in row] for row in table.rows]
    numeric = [any(row[column].order for row in rows) for column in range(len(table.columns))]
    return {"columns": list(zip(table.columns, numeric, strict=True)), "rows": rows, "note": table.note}


def _cell(value: Value) -> Cell:
    if isinstance(value, Link):
        return Cell(value.text, "", value.address)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and not math.isnan(value)
    return Cell(format_value(value), repr(float(value)).replace("inf", "Infinity") if is_number else "")


def _embed(picture: Path | str | bytes, caption: str, max_side_px: int) -> tuple[str, bool]:
    """A picture as a data URI, and whether it is so wide that it takes a row of its own."""
    name = repr(caption) if isinstance(picture, bytes) else str(picture)
    if not isinstance(picture, bytes):
        if not Path(picture).is_file():
            raise FileNotFoundError(f"{name} is missing; the report wants to show it as {caption!r}")
        picture = Path(picture).read_bytes()
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if image is None:
        raise ValueError(f"{name} cannot be read as a picture; give PNG or JPEG")
    kind, content = _shrink(picture, image, max_side_px)
    uri = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return uri, image.shape[1] > WIDE * image.shape[0]


def _shrink(content: bytes, image: np.ndarray, max_side_px: int) -> tuple[str, bytes]:
    """Media type and bytes of a picture file, and its pixels, within the limits of side and size."""
    kind = next((kind for magic, kind in MAGIC.items() if content.startswith(magic)), None)
    factor = max_side_px / max(image.shape[:2])
    if kind and factor >= 1 and len(content) <= PICTURE_BYTES:
        return kind, content
    if factor < 1:
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    jpeg, png = _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 88]), _encode(image, ".png", [])
    return ("image/png", png) if len(png) < 1.5 * len(jpeg) else ("image/jpeg", jpeg)  # curves stay crisp as PNG


def _encode(image: np.ndarray, suffix: str, options: list[int]) -> bytes:
    done, content = cv2.imencode(suffix, image, options)
    assert done, suffix
    return content.tobytes()
