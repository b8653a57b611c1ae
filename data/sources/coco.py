"""COCO JSON: one file for many images, with categories, and annotations as polygons or run lengths."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from data.sources.json_file import load_json
from data.sources.outline import Outline, as_ring
from data.sources.runs import Runs
from data.sources.source import SourceError

MOST_BITS = 60  # of a run length; longer ones come of damage alone, and would take ever longer to add up


@dataclass(frozen=True)
class CocoImage:
    """An image of a COCO file: the file, the image's name and shape there, its annotations, all categories by id."""

    file: Path
    image: str
    shape: tuple[int, int]
    annotations: Sequence[Mapping]
    categories: Mapping[object, str]


@dataclass(frozen=True)
class CocoFile:
    """The images of a COCO file by their path there and by their name without folder and ending."""

    images: Sequence[CocoImage]
    by_path: dict[str, list[CocoImage]] = field(default_factory=dict)
    by_stem: dict[str, list[CocoImage]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for image in self.images:
            path = PurePosixPath(image.image.replace("\\", "/"))
            self.by_path.setdefault(str(path), []).append(image)
            self.by_stem.setdefault(path.stem, []).append(image)

    def find(self, path: Path, case_id: str = "") -> CocoImage | None:
        """The entry of an image file: by as many of its folders as are there, or else by its name without the ending.

        An image that has neither is sought by the id of its case. Raises SourceError where several have that name.
        """
        tails = (PurePosixPath(*path.parts[start:]) for start in range(len(path.parts)))
        found = next((self.by_path[str(tail)] for tail in tails if str(tail) in self.by_path), [])
        found = found or self.by_stem.get(path.stem) or self.by_stem.get(case_id, [])
        if len(found) > 1:
            raise SourceError(f"is one of several images of this name: {[each.image for each in found[:3]]}")
        return found[0] if found else None


def load_coco(path: Path) -> CocoFile:
    """The images of a COCO file; raises SourceError."""
    return list_images(load_json(path), path)


def list_images(content: dict, file: Path) -> CocoFile:
    """The images that the object of a COCO file lists, each with its annotations; raises SourceError."""
    try:
        for kind in ("categories", "images"):
            _refuse_twice(kind, [each["id"] for each in content[kind]])
        categories = {each["id"]: str(each["name"]) for each in content["categories"]}
        annotations: dict[object, list[Mapping]] = {each["id"]: [] for each in content["images"]}
        for each in content["annotations"]:
            if each["image_id"] in annotations:  # a part of a data set often comes with the annotations of all
                annotations[each["image_id"]].append(each)
        images = [(each["id"], str(each["file_name"]), each["height"], each["width"]) for each in content["images"]]
    except (KeyError, TypeError) as error:
        raise SourceError(f"is no COCO file with images, annotations and categories: {error!r}") from error
    return CocoFile([CocoImage(file, name, (h, w), annotations[id_], categories) for id_, name, h, w in images])


def _refuse_twice(kind: str, ids: Sequence) -> None:
    twice = [each for each, count in Counter(ids).items() if count > 1]
    if twice:
        raise SourceError(f"has several {kind} of the id {twice[0]}")


def read_coco(image: CocoImage, shape: tuple[int, ...]) -> Iterator[Outline]:
    """The objects of an image of `shape`; pixels of a crowd are of its class. Raises SourceError naming an object."""
    if image.shape != shape:
        raise SourceError(f"says that {image.image} is {image.shape}; it is {shape}")
    for annotation in image.annotations:
        name = f"annotation {annotation.get('id')}"
        try:
            yield _read_annotation(annotation, name, image)
        except SourceError as error:
            raise SourceError(f"{name} {error}") from error


def _read_annotation(annotation: Mapping, name: str, image: CocoImage) -> Outline:
    category = annotation.get("category_id")
    if isinstance(category, (list, dict)) or category not in image.categories:
        raise SourceError(f"has category {category}; known are {dict(image.categories)}")
    class_name, segmentation = image.categories[category], annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return Outline(name, class_name, runs=_runs(segmentation, image.shape))
    if not isinstance(segmentation, list):
        raise SourceError("has no segmentation; a box says nothing about pixels")
    return Outline(name, class_name, [[_ring(numbers)] for numbers in segmentation])


def _ring(numbers: object) -> np.ndarray:
    """Points from x and y by turns."""
    if not isinstance(numbers, list) or len(numbers) % 2:
        raise SourceError(f"has a polygon that is no list of x and y by turns: {str(numbers)[:60]}")
    return as_ring([numbers[place : place + 2] for place in range(0, len(numbers), 2)])


def _runs(segmentation: dict, shape: tuple[int, int]) -> Runs:
    """Runs down the columns of an object's run lengths: pixels outside and inside it by turns."""
    counts, stated = segmentation.get("counts"), segmentation.get("size")
    size = tuple(stated) if isinstance(stated, list) else stated or ()
    if size != tuple(shape):
        raise SourceError(f"has run lengths for {size}; its image is {tuple(shape)}")
    found = decode_counts(counts) if isinstance(counts, str) else counts
    numbers: list = found if isinstance(found, list) else [None]
    if not all(type(each) is int and each >= 0 for each in numbers) or sum(numbers) != shape[0] * shape[1]:
        raise SourceError(f"has run lengths that do not add up to the {shape[0] * shape[1]} pixels of its image")
    lengths = np.array(numbers, np.int64)
    starts, inside = np.cumsum(lengths)[:-1:2], lengths[1::2]
    return starts[inside > 0], inside[inside > 0]


def decode_counts(text: str) -> list[int]:
    """Run lengths of the compressed form of the COCO API (maskApi.c, rleFrString); raises SourceError.

    A number is written in groups of five bits, the lowest first, as characters from '0' on; 32 marks that a group
    follows, 16 in the last one a negative number. From the fourth on it is the difference to the one but last.
    """
    counts: list[int] = []
    number = shift = 0
    for place, letter in enumerate(text):
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise SourceError(f"has compressed run lengths with the character {letter!r} at place {place}")
        number |= (bits & 31) << shift
        shift += 5
        if shift > MOST_BITS:
            raise SourceError(f"has compressed run lengths with a number of more than {MOST_BITS} bits")
        if not bits & 32:
            number -= (bits & 16) << (shift - 4)
            counts.append(number + counts[-2] if len(counts) > 2 else number)
            number = shift = 0
    if shift:
        raise SourceError("has compressed run lengths that end within a number")
    return counts
