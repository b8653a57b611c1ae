"""Small copies of what fuzzing found, and variations of it by hand."""

import gzip
import json
import os

from tests.outlines import coco, feature, polygons_of, write_geojson
from tests.reliability.room import GOOD, ODD, SHAPE, Room, draw

CLASS = "object"
NUMBER, NUMBERS = 1.5, [1]
LONG = "x" * 100_000


def name_that_is_no_text(room: Room) -> None:
    """A slide whose name has a byte that begins no letter of UTF-8."""
    odd = os.path.join(os.fsencode(room.slides), b"odd\xff.tiff")
    with open(odd, "wb") as file:
        file.write(room.slide(GOOD[0]).read_bytes())


def _outlined(room: Room) -> dict[str, list]:
    """The polygons of the good slides and of the odd one, which is the first of them again."""
    room.slide().write_bytes(room.slide(GOOD[0]).read_bytes())
    masks = {name: draw(seed)[1] for seed, name in enumerate(GOOD)}
    return {name: polygons_of(mask, [CLASS]) for name, mask in {**masks, ODD: masks[GOOD[0]]}.items()}


def features(room: Room, spoilt: str) -> None:
    """A GeoJSON file a slide; that of the odd one is spoilt by a name of FEATURES."""
    folder = room.folder / "outlines"
    folder.mkdir()
    room.options["DATASETS.LABELS_FOLDER"] = folder
    objects = _outlined(room)
    for name in GOOD:
        write_geojson(folder / f"{name}.geojson", objects[name])
    (folder / f"{ODD}.geojson").write_text(json.dumps(FEATURES[spoilt]([feature(*each) for each in objects[ODD]])))


def _changed(part: str, value: object):
    def change(found: list) -> list:
        for each in found:
            (each if part in each else each["properties"])[part] = value
        return found

    return change


def _own_name(name: str):
    """Features with a name of their own and a ring that is no list of points."""

    def change(found: list) -> list:
        found[0]["properties"]["name"], found[0]["geometry"]["coordinates"] = name, [NUMBERS]
        return found

    return change


FEATURES = {
    "properties are a number": _changed("properties", NUMBER),
    "names are a number": _changed("classification", {"names": NUMBER}),
    "coordinates are a number": _changed("geometry", {"type": "Polygon", "coordinates": NUMBER}),
    "half a character": _own_name("\ud800"),
    "a name of two lines": _own_name("one\ntwo"),
    "a long name": _own_name(LONG),
    "a key that is a list": lambda found: {"keys": found},
}


def list_for_a_key(room: Room) -> None:
    """A JSON object that has a list where a name must stand."""
    features(room, "a key that is a list")
    path = room.folder / "outlines" / f"{ODD}.geojson"
    path.write_text(path.read_text().replace('"keys"', '["keys"]'))


def nested(room: Room, kind: str) -> None:
    """A geometry in 400 others, or coordinates in 950 lists: fewer than the parser itself refuses."""
    features(room, "properties are a number")
    begin, depth, end = '{"type": "GeometryCollection", "geometries": [', 400, "]}"
    if kind == "coordinates":
        begin, depth, end = "[", 950, "]"
    inside = begin * depth + end * depth
    geometry = inside if kind == "geometries" else f'{{"type": "Polygon", "coordinates": [{inside}]}}'
    (room.folder / "outlines" / f"{ODD}.geojson").write_text(f'[{{"geometry": {geometry}}}]')


def packed_blanks(room: Room) -> None:
    """A gzip of 200 KB that unpacks to 200 MB."""
    features(room, "properties are a number")
    (room.folder / "outlines" / f"{ODD}.geojson").unlink()
    (room.folder / "outlines" / f"{ODD}.geojson.gz").write_bytes(gzip.compress(b"[" + b" " * 200_000_000 + b"]", 9))


def layers(room: Room, colour: str) -> None:
    """An ImageScope file without names whose colour is no number."""
    features(room, "properties are a number")
    (room.folder / "outlines" / f"{ODD}.geojson").unlink()
    points = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in [(1, 1), (9, 1), (9, 9)])
    region = f"<Regions><Region><Vertices>{points}</Vertices></Region></Regions>"
    text = f'<Annotations><Annotation LineColor="{colour}">{region}</Annotation></Annotations>'
    (room.folder / "outlines" / f"{ODD}.xml").write_text(text, encoding="utf-8")


def annotations(room: Room, part: str, value: object) -> None:
    """A COCO file of all slides; a part of the annotation of the odd one has another value."""
    content = coco({f"{name}.tiff": (objects, SHAPE) for name, objects in _outlined(room).items()}, [CLASS])
    last = content["annotations"][-1]
    last[part] = {"size": list(SHAPE), "counts": LONG.replace("x", "o")} if value == "endless" else value
    room.options["DATASETS.LABELS_COCO"] = room.folder / "coco.json"
    (room.folder / "coco.json").write_text(json.dumps(content))
