"""What is fuzzed: how each input is read, the errors that may come of it, and what must be true of a result."""

import base64
import io
import json
import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from apps.api import PROBLEMS, answer
from apps.segmenter import Segmenter
from config import load_cfg
from data.cases import Case
from data.patches.grid import Box, whole
from data.patches.scale import Scale
from data.patches.tissue import shrunk_shape
from data.sources import ScaledSource, Source, SourceError, open_source
from data.sources.class_names import ClassNames
from data.sources.coco import CocoImage, load_coco
from data.sources.labels import IGNORE, by_class, open_labels
from data.sources.opening import build_reader
from data.stitching.case import build_inference
from data.stitching.mask_rule import MaskRule
from tests.reliability.fuzz import seeds
from tests.reliability.fuzz.mutations import Seed
from tests.run_lengths import slow_mask
from utils.messages import one_line
from utils.rle import RleError, decode_rle, encode_rle, parse_rle

NAME = "in"  # of the file that holds an input
WHOLE_PX = 2**21  # a larger image is read in parts only
PART_PX = 200  # side of these
API_PX = 10**6  # of a picture, as SERVE.MEGAPIXELS 1


class WrongError(Exception):
    """A result that cannot be true, without any error."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed: seeds, what reads a file (given its seed, and whether that was only cut), errors that may be."""

    name: str
    seeds: Callable[[], Sequence[Seed]]
    read: Callable[[Path, Seed, bool], None]
    errors: tuple[type[Exception], ...] = (SourceError,)
    complain: Callable[[Exception, Path], str] = lambda error, path: _unnamed(str(error), path)

    def trouble_with(self, error: Exception, path: Path) -> str:
        """What is wrong with an error that is allowed: its message, or that it was memory that ran out."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError) and not _was_in_read(cause):
                return "memory: the file claims more than there is"
            cause = cause.__cause__ or cause.__context__
        return self.complain(error, path)


def _was_in_read(error: MemoryError) -> bool:
    """Whether more was to be read from a file than there are addresses: what is not there takes no memory."""
    return any("read(" in (frame.line or "") for frame in traceback.extract_tb(error.__traceback__)[-1:])


def _unnamed(text: str, path: Path) -> str:
    return "" if path.name in text else f"message: does not name the file: {text[:200]}"


def _unclear(text: str) -> str:
    """What is wrong with a message that is sent as it is; those of cases go through `one_line` first."""
    if one_line(text) != text:
        return f"message: {len(text)} characters, or some that cannot be shown"
    return ""


# ---- slides and pictures


def read_slide(path: Path, seed: Seed, is_cut: bool) -> None:
    """Read parts of each level and a small copy of the whole; a file that was cut must read as before or not at all."""
    with open_source(path) as source:
        first = _read_parts(source)
        if is_cut and math.prod(source.shape) <= WHOLE_PX:
            _compare(seed, source, source.read(whole(source.shape)))
    with open_source(path) as source:
        if any((a != b).any() for a, b in zip(first, _read_parts(source), strict=True)):
            raise WrongError("other pixels when read again")


def _read_parts(source: Source) -> list[np.ndarray]:
    parts = []
    for level, shape in enumerate(source.level_shapes):
        if len(shape) != 2 or min(shape) < 1 or source.channels not in (1, 3):
            raise WrongError(f"level {level} of {shape} with {source.channels} channels")
        size = tuple(min(n, PART_PX) for n in shape)
        corners = [(0, 0), tuple(n - m for n, m in zip(shape, size, strict=True))]
        for corner in dict.fromkeys([*corners, tuple(n // 2 for n in corners[1])]):
            parts.append(source.read(Box(corner, size), level))
            _examine(parts[-1], (*size, source.channels))
    if math.prod(source.shape) <= WHOLE_PX:
        small = shrunk_shape(source.shape, 33)
        parts.append(ScaledSource(source, small).read(whole(small)))
        _examine(parts[-1], (*small, source.channels))
    return parts


def _examine(pixels: np.ndarray, shape: tuple[int, ...]) -> None:
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise WrongError(f"pixels {pixels.shape} {pixels.dtype} in place of {shape}")


def _compare(seed: Seed, source: Source, pixels: np.ndarray) -> None:
    if pixels.tobytes() != _pixels_of(seed) or pixels.shape[:2] != seeds.SHAPE[:: 1 - 2 * _is_turned(source)]:
        raise WrongError("a file without its end reads otherwise than the whole one")


def _is_turned(source: Source) -> bool:
    return source.shape == seeds.SHAPE[::-1]


@cache
def _pixels_of(seed: Seed) -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}{seed.ending}"
        path.write_bytes(seed.data)
        with open_source(path) as source:
            return source.read(whole(source.shape)).tobytes()


# ---- run lengths


def read_runs(path: Path, seed: Seed, is_cut: bool) -> None:
    """The mask must be that of a slow reading of the text, and its text the normal form."""
    text = path.read_bytes().decode("utf-8", "replace")
    wanted = slow_mask(text, seeds.SHAPE)
    try:
        mask = decode_rle(text, seeds.SHAPE)
    except RleError:
        if wanted is not None:
            raise WrongError("refuses a good text") from None
        raise
    if wanted is None or (mask != wanted).any() or mask.shape != seeds.SHAPE or mask.dtype != np.uint8:
        raise WrongError("another mask than by a slow reading")
    starts, lengths = parse_rle(encode_rle(mask), mask.size)
    if lengths.sum() != mask.sum() or (starts[1:] <= (starts + lengths)[:-1]).any():
        raise WrongError("its text is no normal form")


# ---- label files


def read_labels(path: Path, seed: Seed, is_cut: bool) -> None:
    """Class indices of the image, read at once and by columns."""
    image = path.with_name("a.tiff")
    names = ClassNames(seeds.CLASSES, {"hole": "background", "*": "ignore"} if len(seed.data) % 2 else {})
    case = Case("a", image, _entry(path, image) if seed.ending == ".json" and len(seed.data) % 3 else path)
    with open_labels(case, seeds.SHAPE, names, lambda values: by_class(values, 2)) as opened:
        mask = opened.read(whole(seeds.SHAPE))
        columns = [opened.read(Box((0, column), (seeds.SHAPE[0], 1))) for column in range(seeds.SHAPE[1])]
    if mask.shape != (*seeds.SHAPE, 1) or mask.dtype != np.uint8 or not np.isin(mask, (0, 1, 2, IGNORE)).all():
        raise WrongError(f"a mask {mask.shape} {mask.dtype} of {np.unique(mask)[:9]}")
    if (np.concatenate(columns, axis=1) != mask).any():
        raise WrongError("columns are not those of the whole")


def _entry(path: Path, image: Path) -> Path | CocoImage:
    """The entry of an image in a file for many, as the table of cases finds it."""
    try:
        return load_coco(path).find(image) or path
    except SourceError as error:
        raise SourceError(f"{path.name} {error}") from error


# ---- the API


@cache
def _segmenter() -> Segmenter:
    """The API's path with the mean of the channels for a network."""
    cfg = load_cfg(
        "", ["DATASETS.CLASSES", "['disc']", "TEST.PATCH", "32", "TEST.OVERLAP", "8", "TILES.MIN_TISSUE", "0"]
    )
    reader, inference = build_reader(cfg), replace(build_inference(cfg, Scale(1.0)), batch_size=8)

    def predict(patches: np.ndarray) -> np.ndarray:
        return patches.mean(1, keepdims=True, dtype=np.float32) / np.float32(255)

    return Segmenter([], reader, inference, predict, MaskRule(0.5), API_PX)


def read_upload(path: Path, seed: Seed, is_cut: bool) -> None:
    """The description must fit the mask that comes with it."""
    content = path.read_bytes()
    found = json.loads(answer(_segmenter(), content, "json", None).content)
    with Image.open(io.BytesIO(base64.b64decode(found["mask_png"]))) as image:
        mask = np.asarray(image)
    if mask.shape != (found["rows"], found["columns"]) or mask.size > API_PX:
        raise WrongError(f"a mask {mask.shape} of a picture {found['rows']} x {found['columns']}")
    if int((mask == 1).sum()) != found["classes"][0]["pixels"]:
        raise WrongError("other pixels are counted than sent")
    if not answer(_segmenter(), content, "overlay", 0.3).content.startswith(b"\x89PNG"):
        raise WrongError("an overlay that is no PNG")


def _bad_answer(error: Exception, path: Path) -> str:
    status, detail = getattr(error, "status_code", 0), str(getattr(error, "detail", ""))
    if status not in PROBLEMS:
        return f"status {status}"
    return "message: holds a path" if "/tmp" in detail else _unclear(detail)


def _http_errors() -> tuple[type[Exception], ...]:
    from fastapi import HTTPException

    return (HTTPException,)


TARGETS = {
    target.name: target
    for target in (
        Target("slide", seeds.slides, read_slide),
        Target("rle", seeds.runs, read_runs, (RleError,), lambda error, path: ""),
        Target("geojson", seeds.labels, read_labels),
        Target("api", seeds.uploads, read_upload, _http_errors(), _bad_answer),
    )
}
