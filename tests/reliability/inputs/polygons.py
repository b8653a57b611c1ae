"""Files of outlines of the odd slide; the masks of the good ones lie beside them."""

import gzip
import json
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from tests.reliability.inputs.truth import Check, labelled_slide, mask_is
from tests.reliability.room import GOOD, ODD, SHAPE, Room, draw

Points = Sequence[tuple[float, float]]
BOX = [(10, 10), (50, 10), (50, 60), (10, 60)]  # x and y of the corners
BOW = [(10, 10), (50, 57), (50, 10), (10, 57)]  # no centre of a pixel lies on its edges
AWAY = [(x + 1000, y) for x, y in BOX]
OVER = [(x - 30, y) for x, y in BOX]
NAN, INFINITE = float("nan"), float("inf")


def enclosed(points: Points) -> np.ndarray:
    """The pixels whose centre a ray to the right leaves an odd number of times; not by the code under test."""
    y, x = np.indices(SHAPE) + 0.5
    mask = np.zeros(SHAPE, bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 != y1:
            mask ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return mask.astype(np.uint8)


def outlines(room: Room, what: str) -> Check:
    """A file of outlines, and that of the pixels inside which its mask must be."""
    ending, _, kind = what.partition(" ")
    folder = room.folder / "outlines"
    folder.mkdir()
    for seed, name in enumerate(GOOD):
        Image.fromarray(draw(seed)[1]).save(folder / f"{name}.png")
    labelled_slide(room)
    content = FILES[ending][kind]
    content = content() if callable(content) else content
    (folder / f"{ODD}.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
    room.options = {"DATASETS.LABELS_FOLDER": folder}
    points = POINTS.get(kind, BOX)
    return mask_is(lambda: enclosed(points))


def coco_for_all(room: Room) -> None:
    """A COCO file for all slides that lacks a key."""
    labelled_slide(room)
    path = room.folder / "coco.json"
    path.write_text(json.dumps({"images": [], "annotations": []}))
    room.options = {"DATASETS.LABELS_COCO": path}


NOWHERE = [(0.0, 0.0)]
POINTS = {"bow tie": BOW, "over the border": OVER, "empty": NOWHERE, "two points": NOWHERE, "deep": NOWHERE}


def _feature(rings: object, name: object = "object", kind: str = "Polygon") -> dict:
    properties = {"classification": {"name": name}} if name else {}
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": properties}


def _closed(points: Points) -> list:
    return [[*points, points[0]]]


def _geojson(*features: object) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features})


def _nested(depth: int) -> str:
    inner = json.dumps(_feature(_closed(BOX))["geometry"])
    geometry = '{"type": "GeometryCollection", "geometries": [' * depth + inner + "]}" * depth
    return f'[{{"type": "Feature", "properties": {{"classification": "object"}}, "geometry": {geometry}}}]'


def _scribble(count: int) -> str:
    points = np.random.default_rng(0).uniform(10, 140, (count, 2)).tolist()
    return _geojson(_feature([points]))


def _asap(points: Sequence[tuple[object, object]] = BOX, kind: str = "Polygon", group: str = "object") -> str:
    places = "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}"/>' for n, (x, y) in enumerate(points))
    return (
        f'<ASAP_Annotations><Annotations><Annotation Name="a" Type="{kind}" PartOfGroup="{group}"><Coordinates>{places}'
        "</Coordinates></Annotation></Annotations></ASAP_Annotations>"
    )


def _imagescope(kind: str = "0") -> str:
    places = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in BOX)
    region = f'<Region Type="{kind}"><Vertices>{places}</Vertices></Region>'
    return f'<Annotations><Annotation Name="object"><Regions>{region}</Regions></Annotation></Annotations>'


def _laughs() -> str:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE a [<!ENTITY a0 "ha">{entities}]>{_asap(kind="&a9;")}'


def _coco(missing: str = "", **changes: object) -> str:
    image = {"id": 1, "file_name": "odd.tiff", "height": SHAPE[0], "width": SHAPE[1]}
    annotation = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[each for point in BOX for each in point]]}
    category = {"id": 1, "name": "object"}
    for part in (image, annotation, category):
        part.update({key: value for key, value in changes.items() if key in part})
        part.pop(missing, None)
    content = {"images": [image], "annotations": [annotation], "categories": [category]}
    content.pop(missing, None)
    content.update({key: value for key, value in changes.items() if key in content})
    return json.dumps(content)


GEOJSON: dict[str, str | bytes | Callable[[], str | bytes]] = {
    "good": _geojson(_feature(_closed(BOX))),
    "bow tie": _geojson(_feature(_closed(BOW))),
    "unclosed": _geojson(_feature([BOX])),
    "over the border": _geojson(_feature(_closed(OVER))),
    "NaN": _geojson(_feature([[(NAN, 10), *BOX]])),
    "Infinity": _geojson(_feature([[(INFINITE, 10), *BOX]])),
    "5000 digits": _geojson(_feature(_closed(BOX))).replace("60", "9" * 5000),
    "two points": _geojson(_feature([BOX[:2]])),
    "outside": _geojson(_feature(_closed(AWAY))),
    "unknown class": _geojson(_feature(_closed(BOX), "vessel")),
    "no class": _geojson(_feature(_closed(BOX), None)),
    "empty": _geojson(),
    "object": "{}",
    "nothing": "",
    "text": "outlines",
    "cut": _geojson(_feature(_closed(BOX)), _feature(_closed(BOX)))[:-60],
    "too long": _geojson(_feature(_closed(BOX))) + '{"features": []}',
    "two lists": _geojson(_feature(_closed(BOX)))[:-1] + ', "features": []}',
    "brackets": "[" * 10**5,
    "collections": lambda: _nested(10),
    "collections without end": lambda: _nested(10**5),
    "no coordinates": _geojson(_feature(None)),
    "no pairs": _geojson(_feature([[(1, 2), (3,), (4, 5)]])),
    "properties": _geojson({**_feature(_closed(BOX)), "properties": "object"}),
    "names": _geojson({**_feature(_closed(BOX)), "properties": {"classification": {"names": 5}}}),
    "latin-1": _geojson(_feature(_closed(BOX))).replace("object", "\u00e9").encode("latin-1"),
    "utf-16": _geojson(_feature(_closed(BOX))).encode("utf-16"),
    "scribble": lambda: _scribble(3000),
}
FILES: dict[str, dict[str, str | bytes | Callable[[], str | bytes]]] = {
    "geojson": GEOJSON,
    "geojson.gz": {
        "good": gzip.compress(_geojson(_feature(_closed(BOX))).encode()),
        "cut": gzip.compress(_geojson(_feature(_closed(BOX))).encode())[:-20],
        "bomb": lambda: gzip.compress(b"[" + b" " * 10**8 + b"]"),
    },
    "xml": {
        "ASAP": _asap(),
        "ImageScope": _imagescope(),
        "entities": _laughs(),
        "cut": _asap()[:-50],
        "other root": "<Slide/>",
        "nothing": "",
        "NaN": _asap([(NAN, 10), *BOX]),
        "underscore": _asap([("1_0", 10), *BOX]),
        "letters": _asap([("ten", 10), *BOX]),
        "unknown kind": _asap(kind="Blob"),
        "unknown class": _asap(group="vessel"),
        "unknown region": _imagescope("9"),
        "deep": lambda: "<Annotations>" + "<a>" * 10**5 + "</a>" * 10**5 + "</Annotations>",
    },
    "json": {
        "good": _coco(),
        **{f"without {key}": _coco(key) for key in ("categories", "images", "height", "image_id", "segmentation")},
        "odd numbers": _coco(segmentation=[[1, 2, 3]]),
        "category list": _coco(category_id=[1]),
        "other size": _coco(height=149),
        "two categories": _coco(categories=[{"id": 1, "name": "vessel"}, {"id": 1, "name": "object"}]),
        "size": _coco(segmentation={"counts": [1], "size": 5}),
        "float counts": _coco(segmentation={"counts": [0.5, 28499.5], "size": SHAPE}),
        "endless count": _coco(segmentation={"counts": "o" * 10**6, "size": SHAPE}),
    },
}
