"""Objects as a table, a line each: where they lie, how large they are and how certain the network is."""

import csv
import math
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from data.patches.grid import Box
from data.stitching.objects import MaskObject
from data.stitching.probability_map import Frame
from utils.atomic import atomic_path

NAMESPACE = uuid.UUID("6f2a1d52-0c1b-5b0e-9d35-6a3b54f8f7c1")  # drawn once: the ids of objects are names within it


@dataclass(frozen=True)
class ObjectRow:
    """A line of objects.csv; places are in pixels of level 0, from the corner of the image's first pixel on.

    `probability` is the mean over the object, 0 to 1; `diameter_um` that of a disk of the same area, like `area_um2`
    None where the pixel size is unknown. An object that touches the border of what was predicted may be a part only.
    """

    id: str
    object: str
    class_name: str
    row: float
    column: float
    area_px: int
    area_um2: float | None
    diameter_um: float | None
    probability: float
    touches_border: bool
    top: int
    left: int
    bottom: int
    right: int


OBJECT_COLUMNS = [field.name.removesuffix("_name") for field in fields(ObjectRow)]


def describe_object(found: MaskObject, case_id: str, frame: Frame) -> ObjectRow:
    """The line of an object of `find_objects`.

    Its id is the same from run to run as long as its class and its first pixel are.
    """
    class_name = frame.classes[found.class_index - 1]
    first = ",".join(map(str, found.first))
    row, column = found.centroid
    area_um2 = found.area_px * math.prod(frame.spacing_um) if frame.spacing_um else None
    return ObjectRow(
        id=case_id,
        object=str(uuid.uuid5(NAMESPACE, f"{case_id}/{class_name}/{first}")),
        class_name=class_name,
        row=round(row, 2),
        column=round(column, 2),
        area_px=found.area_px,
        area_um2=round(area_um2, 2) if area_um2 else None,
        diameter_um=round(2 * math.sqrt(area_um2 / math.pi), 2) if area_um2 else None,
        probability=round(found.weight / found.area_px / 255, 4),
        touches_border=found.touches_border(Box(frame.start_level0, frame.size_level0)),
        top=found.box.start[0],
        left=found.box.start[1],
        bottom=found.box.stop[0],
        right=found.box.stop[1],
    )


@contextmanager
def object_table(path: Path) -> Iterator[Callable[[ObjectRow], object]]:
    """A function that writes one line; the table appears at `path` once all are written."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(OBJECT_COLUMNS)
        yield lambda row: table.writerow(vars(row).values())


def join_objects(path: Path, tables: Iterable[Path]) -> None:
    """Write the lines of all tables under one header."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(OBJECT_COLUMNS) + "\n")
        for table in tables:
            with table.open(encoding="utf-8", newline="") as lines:
                next(lines)
                file.writelines(lines)
