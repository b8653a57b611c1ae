from pathlib import Path

import numpy as np
import pytest

from data.sources.coco import CocoFile, CocoImage, decode_counts, list_images, read_coco
from data.sources.source import SourceError

SIZE = (6, 5)


def entry(segmentation, **rest):
    return {"id": 7, "image_id": 1, "category_id": 10, "segmentation": segmentation, **rest}


def read(*annotations, size=SIZE):
    return list(read_coco(CocoImage(Path("coco.json"), "a.png", size, annotations, {10: "glom"}), SIZE))


def pixels(outline):
    mask = np.zeros(SIZE[0] * SIZE[1], np.uint8)
    for start, length in zip(*outline.runs, strict=True):
        mask[start : start + length] += 1
    return mask.reshape(SIZE[::-1]).T


BLOCK = np.zeros(SIZE, np.uint8)
BLOCK[1:4, 1:3] = BLOCK[0, 4] = 1


def test_polygons_are_x_and_y_by_turns():
    (outline,) = read(entry([[1, 2, 3, 4, 5, 6], [0, 0, 1, 0, 1, 1]]))
    assert (outline.name, outline.class_name) == ("annotation 7", "glom")
    assert [[ring.tolist() for ring in rings] for rings in outline.polygons] == [
        [[[1, 2], [3, 4], [5, 6]]],
        [[[0, 0], [1, 0], [1, 1]]],
    ]


@pytest.mark.parametrize("counts", [[7, 3, 3, 3, 8, 1, 5], "73305NM"])  # the text is by pycocotools 2.0
def test_run_lengths_plain_and_compressed_by_hand(counts):
    (outline,) = read(entry({"size": [6, 5], "counts": counts}, iscrowd=1))
    np.testing.assert_array_equal(pixels(outline), BLOCK)


@pytest.mark.parametrize(
    ("counts", "total"), [([30], 0), ([0, 30], 30), ([0, 4, 26], 4), ([26, 4], 4), ([2, 0, 3, 5, 20], 5)]
)
def test_run_lengths_that_begin_or_end_inside_or_hold_nothing(counts, total):
    (outline,) = read(entry({"size": [6, 5], "counts": counts}))
    assert pixels(outline).sum() == total
    assert (outline.runs[1] > 0).all()


def test_compressed_differences_may_be_negative():
    assert decode_counts("73305NM") == [7, 3, 3, 3, 8, 1, 5]


def test_compressed_run_lengths_of_a_mask_with_a_hole():
    mask = np.zeros((100, 60), np.uint8)
    mask[10:90, 5:50] = 1
    mask[40:60, 20:30] = 0
    text = "n?`2d0" + "0" * 28 + "^N" + "0" * 39 + "b1" + "0" * 38 + "nn0"  # by pycocotools 2.0
    counts = decode_counts(text)
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    np.testing.assert_array_equal(flat.reshape(60, 100).T, mask)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [5, 6], "counts": [30]}, r"run lengths for \(5, 6\); its image is \(6, 5\)"),
        ({"size": [6, 5], "counts": [29]}, "do not add up to the 30 pixels"),
        ({"size": [6, 5], "counts": [31, -1]}, "do not add up"),
        ({"size": [6, 5], "counts": [10.5, 19.5]}, "do not add up"),
        ({"size": [6, 5], "counts": None}, "do not add up"),
        ({"size": [6, 5]}, "do not add up"),
        ({"counts": [30]}, r"run lengths for \(\)"),
        ({"size": [6, 5], "counts": "7 3"}, "the character ' '"),
        ({"size": [6, 5], "counts": "73`"}, "end within a number"),
        ([[1, 2, 3]], "no list of x and y by turns"),
        ([1, 2, 3, 4], "no list of x and y by turns"),
        ([["a", "b"]], "no pairs of numbers"),
        (None, "has no segmentation; a box says nothing about pixels"),
    ],
)
def test_a_broken_annotation_is_refused_by_its_id(segmentation, message):
    with pytest.raises(SourceError, match=f"annotation 7 has .*{message}|annotation 7 {message}"):
        read(entry(segmentation))


def test_an_unknown_category_is_refused_with_the_known_ones():
    with pytest.raises(SourceError, match=r"annotation 7 has category 3; known are \{10: 'glom'\}"):
        read({**entry([]), "category_id": 3})


def test_another_size_than_that_of_the_image_is_refused():
    with pytest.raises(SourceError, match=r"says that a\.png is \(9, 9\); it is \(6, 5\)"):
        read(size=(9, 9))


def test_an_empty_segmentation_has_no_area():
    assert read(entry([]))[0].polygons == []


def content(*names):
    images = [{"id": i, "file_name": name, "height": 6, "width": 5} for i, name in enumerate(names)]
    annotations = [{"id": i, "image_id": i, "category_id": 1, "segmentation": []} for i in range(len(names) + 3)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "glom"}]}


def find(path, *names):
    found = list_images(content(*names), Path("coco.json")).find(Path(path))
    return found.image if found else None


def test_each_image_has_its_own_annotations():
    first, second = list_images(content("a.png", "b.png"), Path("coco.json")).images
    assert (first.shape, [each["id"] for each in first.annotations]) == ((6, 5), [0])
    assert [each["id"] for each in second.annotations] == [1]


def test_an_image_is_found_by_its_name_by_its_folders_and_by_its_name_without_ending():
    assert find("x/y/a.png", "a.png", "b.png") == "a.png"
    assert find("x/train/a.png", "val/a.png", "train/a.png") == "train/a.png"
    assert find("x/train/a.png", "val\\a.png", "train\\a.png") == "train\\a.png"
    assert find("x/a.tiff", "scans/a.jpg", "b.png") == "scans/a.jpg"
    assert find("x/c.png", "a.png", "b.png") is None


def test_an_image_of_another_name_is_found_by_the_id_of_its_case():
    images = list_images(content("a.jpg"), Path("coco.json"))
    for path in ("x/a.ome.tif", "a/000001.dcm"):
        assert images.find(Path(path)) is None
        assert images.find(Path(path), "a") is images.images[0]


def test_a_name_that_several_images_have_is_an_error():
    with pytest.raises(SourceError, match=r"is one of several images of this name: \['val/a\.png', 'train/a\.png'\]"):
        find("x/a.png", "val/a.png", "train/a.png")
    with pytest.raises(SourceError, match="is one of several"):
        find("x/a.png", "a.png", "a.png")


@pytest.mark.parametrize(
    "damage", [{"images": None}, {"categories": [{"id": 1}]}, {"annotations": [5]}, {"images": [{}]}]
)
def test_what_is_no_coco_file_is_refused(damage):
    with pytest.raises(SourceError, match="is no COCO file with images, annotations and categories"):
        list_images(content("a.png") | damage, Path("coco.json"))


def test_an_empty_file_has_no_image():
    assert CocoFile([]).find(Path("a.png")) is None
