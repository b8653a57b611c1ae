"""Good files that are mutated, made by the writers of the other tests, with the places of their fields."""

import gzip
import io
import json
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import shapely
import tifffile
from PIL import Image

from tests.data.sources.test_dicom import write_dicom
from tests.outlines import coco, write_asap, write_geojson, write_imagescope
from tests.reliability.fuzz.mutations import Seed
from tests.slides import noise, write_ome, write_pyramid
from utils.rle import encode_rle

SHAPE = (52, 44)  # of the pictures that are mutated, and of what label files are about
CLASSES = ("tumor", "stroma")
LONG = {b"OB", b"OW", b"SQ", b"UN", b"UT"}  # DICOM values whose length takes four bytes


@cache
def slides() -> tuple[Seed, ...]:
    """TIFFs of many layouts, and pictures."""
    return (*tiffs(), *pictures())


@cache
def tiffs() -> tuple[Seed, ...]:
    """TIFFs: classic and BigTIFF, strips and tiles, pyramids, OME, planar, palette, compressed in several ways."""
    image, plain = noise(*SHAPE, 3) // 8 * 8, {"photometric": "rgb", "metadata": None}
    tiled = {**plain, "tile": (32, 16)}
    made = [
        _tiff(image, **plain),
        _tiff(image, **plain, rowsperstrip=7, byteorder=">"),
        _tiff(image, **tiled, bigtiff=True, compression="zlib", predictor=True),
        _tiff(image, **tiled, compression="jpeg"),
        _tiff(image, **tiled, compression="lzw"),
        _tiff(image, **tiled, compression="packbits", byteorder=">"),
        _tiff(np.moveaxis(image, -1, 0), **plain, planarconfig="separate", compression="zlib", rowsperstrip=9),
        _tiff(image[..., 0], photometric="minisblack", metadata=None),
        _tiff(image[..., 0] > 99, photometric="minisblack", metadata=None, compression="packbits"),
        _tiff(image[..., 0], photometric="palette", colormap=noise(3, 256).astype(np.uint16) * 257, metadata=None),
        _tiff(np.dstack([image, image[..., :1]]), **plain, extrasamples=["unassalpha"]),
        _tiff(image, photometric="rgb", description="Aperio Image Library|AppMag = 20|MPP = 0.5", metadata=None),
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.tiff"
        for write in (write_pyramid, write_ome):
            write(path, image, tile=(16, 16), compression="zlib")
            made.append(path.read_bytes())
    return tuple(Seed(".tiff", data, tuple(_tiff_places(data)), data[:2] == b"II") for data in made)


def _tiff(image: np.ndarray, bigtiff: bool = False, byteorder: str = "<", **options: object) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=bigtiff, byteorder=byteorder) as writer:
        writer.write(image, resolution=(20_000, 20_000), resolutionunit="CENTIMETER", **options)
    return file.getvalue()


def _tiff_places(data: bytes) -> Iterator[tuple[int, int]]:
    """The first directory's offset; of each tag code, type, count, value and what lies elsewhere; the next offset."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        wide = 8 if file.is_bigtiff else 4
        yield (8 if file.is_bigtiff else 4), wide
        for page in file.pages:
            for tag in page.tags:
                yield from [(tag.offset, 2), (tag.offset + 2, 2)]
                yield from [(tag.offset + 4, wide), (tag.offset + 4 + wide, wide)] * 2
                unit = max(1, tag.valuebytecount // max(1, tag.count))
                yield from [(tag.valueoffset + n * unit, min(unit, 8)) for n in range(min(tag.count, 4))]
            yield max(tag.offset for tag in page.tags) + 4 + 2 * wide, wide


@cache
def pictures() -> tuple[Seed, ...]:
    """PNG, JPEG and BMP."""
    image = Image.fromarray(noise(*SHAPE, 3) // 32 * 32)
    exif = Image.Exif()
    exif[0x0112] = 6
    pngs = [image, image.convert("L"), image.convert("P"), image.convert("RGBA"), image.convert("1"), image]
    options: list[dict] = [{}, {}, {}, {}, {}, {"exif": exif, "dpi": (300, 300)}]
    found = [Seed(".png", data, tuple(_png_places(data)), False) for data in map(_saved("PNG"), pngs, options)]
    jpegs = _saved("JPEG")(image, {"exif": exif}), _saved("JPEG")(image.convert("L"), {"progressive": True})
    found += [Seed(".jpg", data, tuple(_jpeg_places(data)), False) for data in jpegs]
    bmps = _saved("BMP")(image, {}), _saved("BMP")(image.convert("P"), {})
    return (*found, *(Seed(".bmp", data, tuple((n, 4) for n in range(2, 54, 4))) for data in bmps))


def _saved(kind: str):
    def save(image: Image.Image, options: dict) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return save


def _png_places(data: bytes) -> Iterator[tuple[int, int]]:
    """Lengths and names of the chunks, and the fields of the first."""
    place = 8
    while place < len(data):
        yield from [(place, 4), (place + 4, 4)]
        place += 12 + struct.unpack(">I", data[place : place + 4])[0]
    yield from [(16, 4), (20, 4), (24, 1), (25, 1), (26, 1), (27, 1), (28, 1)] * 2


def _jpeg_places(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers, lengths and first values of the segments before the pixels."""
    place = 2
    while data[place + 1] != 0xDA:
        yield from [(place + 1, 1), (place + 2, 2), *((place + 4 + n, n % 2 + 1) for n in range(10))]
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    yield from [(place + 2, 2), (place + 4, 1), (place + 5, 1)]


@cache
def uploads() -> tuple[Seed, ...]:
    """What the API takes: pictures, TIFF and DICOM."""
    image = noise(*SHAPE, 3) // 8 * 8
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        grey = image[..., 0].astype(np.uint16) * 9
        write_dicom(path, image)
        made = [path.read_bytes()]
        write_dicom(path, grey, WindowCenter=900, WindowWidth=800, PixelSpacing=[0.2, 0.1], RescaleSlope=2)
        made.append(path.read_bytes())
    return (*tiffs(), *pictures(), *(Seed(".dcm", data, tuple(_dicom_places(data))) for data in made))


def _dicom_places(data: bytes) -> Iterator[tuple[int, int]]:
    """Tags, kinds, lengths and values of a file whose elements state their kind."""
    place = 132
    while place + 8 <= len(data):
        is_long = data[place + 4 : place + 6] in LONG
        begin = place + (12 if is_long else 8)
        length = struct.unpack("<I" if is_long else "<H", data[begin - (4 if is_long else 2) : begin])[0]
        yield from [(place, 2), (place + 2, 2), (place + 4, 2), (begin - (4 if is_long else 2), 4 if is_long else 2)]
        yield from [(begin, min(length, 2)), (begin, min(length, 8))]
        place = begin + length


@cache
def labels() -> tuple[Seed, ...]:
    """Outlines of two classes, one with a hole, in every format."""
    rows, columns = SHAPE
    ring = shapely.Polygon(
        [(2, 3), (30, 3), (30, 40), (2, 40)], [[(10, 10), (20, 10), (20, 20)], [(25, 30), (28, 30), (28, 35)]]
    )
    objects = [("tumor", ring), ("stroma", shapely.box(20, 30, 43, 51))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        geojson, asap, imagescope = (
            write(path, objects).read_bytes() for write in (write_geojson, write_asap, write_imagescope)
        )
    content = coco({"a.tiff": (objects, (rows, columns))}, list(CLASSES))
    packed = json.loads(json.dumps(content))
    packed["annotations"][0]["segmentation"] = {"size": [rows, columns], "counts": "T3d0hS2"}  # 100, 20, 2168
    return (
        Seed(".geojson", geojson),
        Seed(".geojson", json.dumps(_with_every_kind(json.loads(geojson))).encode()),
        Seed(".geojson.gz", gzip.compress(geojson, mtime=0)),
        Seed(".xml", asap),
        Seed(".xml", imagescope),
        Seed(".json", json.dumps(content).encode()),
        Seed(".json", json.dumps(packed).encode()),
    )


def _with_every_kind(content: dict) -> dict:
    """Features of several polygons, of collections, of points and of names that QuPath joins."""
    first, second = (feature["geometry"] for feature in content["features"])
    several = {"type": "MultiPolygon", "coordinates": [first["coordinates"], second["coordinates"]]}
    point = {"type": "Point", "coordinates": [1, 2]}
    for geometry in (several, {"type": "GeometryCollection", "geometries": [second, point]}, point):
        properties = {"name": "own", "classification": {"names": ["tumor"]}}
        content["features"].append({"type": "Feature", "geometry": geometry, "properties": properties})
    return content


@cache
def runs() -> tuple[Seed, ...]:
    """Run-length texts of masks with few and with many runs."""
    rng = np.random.default_rng(0)
    masks = [rng.random(SHAPE) < share for share in (0.002, 0.01, 0.5, 0.99, 1.0)]
    return tuple(Seed(".rle", encode_rle(mask).encode()) for mask in masks)
