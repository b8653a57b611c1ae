"""Writes the objects of a map of disks: python -m benchmarks.objects_write MAP SIDE strips|whole; prints its time.

`strips` is ours, GeoJSON and table; `whole` gives the whole mask to rasterio and writes GeoJSON alone.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from data.patches.grid import whole
from data.stitching.mask import MaskView
from data.stitching.objects import find_objects
from data.stitching.probability_map import Frame, ProbabilityMap, create_map, open_map, strips
from data.writers.geojson import geojson_file
from data.writers.objects_csv import describe_object, object_table
from utils.atomic import atomic_path

PITCH = 8  # cells of the map from disk to disk; a cell is two pixels of level 0
THRESHOLD = 0.5


def main(argv: Sequence[str]) -> None:
    """Make the map where it is missing and print objects and seconds as JSON."""
    path, side = Path(argv[0]), int(argv[1])
    if not path.exists():
        with atomic_path(path) as draft:
            make_map(draft, side)
    with TemporaryDirectory(dir=path.parent) as folder:
        begun = time.perf_counter()
        count = {"strips": in_strips, "whole": as_a_whole}[argv[2]](open_map(path), Path(folder))
        print(json.dumps({"objects": count, "seconds": time.perf_counter() - begun}))


def make_map(path: Path, side: int) -> None:
    """A map of disks of several sizes, one every PITCH cells."""
    cells, random = side // 2, np.random.default_rng(0)
    probabilities = create_map(path, (cells, cells), Frame((0, 0), (side, side), (side, side), ("disk",), (0.5, 0.5)))
    away = np.hypot(*np.mgrid[:PITCH, :PITCH] - (PITCH - 1) / 2)
    disks = np.stack([np.clip(255 * (radius - away) + 128, 0, 255) for radius in np.linspace(1, 3, 32)]).astype(
        np.uint8
    )
    for box in strips((cells, cells)):
        chosen = disks[random.integers(len(disks), size=(box.size[0] // PITCH, cells // PITCH))]
        probabilities.write(box.start[0], chosen.transpose(0, 2, 1, 3).reshape(1, *box.size))
    probabilities.flush()


def in_strips(probabilities: ProbabilityMap, folder: Path) -> int:
    """Our way; the number of objects."""
    count = 0
    with geojson_file(folder / "a.geojson") as add, object_table(folder / "a.csv") as add_row:
        for found in find_objects(probabilities, THRESHOLD):
            count += 1
            row = describe_object(found, "a", probabilities.frame)
            add(found, row)
            add_row(row)
    return count


def as_a_whole(probabilities: ProbabilityMap, folder: Path) -> int:
    """The whole mask given to rasterio; the number of objects."""
    from rasterio.features import shapes

    shape = probabilities.frame.shape_level0
    mask = MaskView(probabilities.on_image(shape), THRESHOLD).read(whole(shape))
    features = [{"type": "Feature", "geometry": found, "properties": {}} for found, _ in shapes(mask, mask > 0)]
    (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return len(features)


if __name__ == "__main__":
    main(sys.argv[1:])
