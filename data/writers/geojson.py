"""Objects as GeoJSON that QuPath imports: a feature a line, streamed, equal bytes for equal objects.

The form is that of QuPath 0.4 to 0.6: coordinates are (x, y) in pixels of level 0 with y downwards, `id` is a UUID, and
`properties` hold objectType, classification (name and colour), isLocked and measurements by name.
"""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from data.stitching.objects import MaskObject, Polygon
from data.writers.objects_csv import ObjectRow
from utils.atomic import atomic_path
from utils.colours import class_colour

LARGEST_PLAIN = 100 * 2**20  # bytes from which a file is compressed
AddFeature = Callable[[MaskObject, ObjectRow], object]

encode = json.JSONEncoder(separators=(",", ":")).encode  # ASCII, since QuPath reads in the machine's own encoding


@contextmanager
def geojson_file(path: Path, object_type: str = "annotation", tolerance_px: float = 0.0) -> Iterator[AddFeature]:
    """A function that writes one object; the file appears once all are written.

    A file of more than LARGEST_PLAIN bytes is written as `<path>.gz` in place of `path`. Outlines are exact, or leave
    those of the mask by up to `tolerance_px` pixels of level 0.
    """
    with atomic_path(path) as draft, draft.open("w", encoding="ascii", newline="") as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = "\n"

        def add(found: MaskObject, row: ObjectRow) -> None:
            nonlocal separator
            file.write(separator + encode(make_feature(found, row, object_type, tolerance_px)))
            separator = ",\n"

        yield add
        file.write("\n]}\n")
    compressed = compressed_path(path)
    compressed.unlink(missing_ok=True)  # of an earlier run
    if path.stat().st_size > LARGEST_PLAIN:
        _compress(path, compressed)


def compressed_path(path: Path) -> Path:
    """Where a large file lies in place of `path`."""
    return path.with_name(f"{path.name}.gz")


def find_geojson(path: Path) -> Path:
    """`path`, or where the file lies in its place."""
    return compressed_path(path) if compressed_path(path).exists() else path


def make_feature(found: MaskObject, row: ObjectRow, object_type: str, tolerance_px: float = 0.0) -> dict[str, object]:
    """An object as QuPath has it."""
    polygons = simplified(found.polygons, tolerance_px) if tolerance_px else found.polygons
    coordinates = [[_closed(ring) for ring in polygon] for polygon in polygons]
    geometry = {"type": "Polygon", "coordinates": coordinates[0]}
    if len(coordinates) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": coordinates}
    area = {"Area px^2": row.area_px} if row.area_um2 is None else {"Area um^2": row.area_um2}
    properties = {
        "objectType": object_type,
        "classification": {"name": row.class_name, "color": class_colour(found.class_index)},
        "isLocked": False,
        "measurements": {"Mean probability": row.probability, **area},
    }
    return {"type": "Feature", "id": row.object, "geometry": geometry, "properties": properties}


def simplified(polygons: Sequence[Polygon], tolerance_px: float) -> list[Polygon]:
    """Polygons with fewer corners, within the tolerance; the same ones where fewer would make them invalid."""
    import shapely

    exact = [shapely.Polygon(outer, holes) for outer, *holes in polygons]
    simpler = shapely.simplify(shapely.MultiPolygon(exact), tolerance_px, preserve_topology=True)
    parts = shapely.get_parts(simpler)
    if not simpler.is_valid or simpler.is_empty or len(parts) != len(exact):
        return list(polygons)
    return [[_corners(ring) for ring in (part.exterior, *part.interiors)] for part in parts]


def _corners(ring: object) -> np.ndarray:
    import shapely

    return shapely.get_coordinates(ring)[:-1].astype(np.int32)


def _closed(ring: np.ndarray) -> list[list[int]]:
    """The corners of a ring as (x, y), the first one again at the end."""
    places = ring[:, ::-1].tolist()
    return [*places, places[0]]


def _compress(path: Path, target: Path) -> None:
    with (
        atomic_path(target) as draft,
        path.open("rb") as plain,
        draft.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file,  # no name and no time in it
    ):
        shutil.copyfileobj(plain, file, 2**20)
    path.unlink()
