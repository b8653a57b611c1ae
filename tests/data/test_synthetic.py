import csv

import cv2
import numpy as np
import pytest
import tifffile

from data.synthetic import LAYOUTS, draw_slide, write_demo_slides
from utils.rle import decode_rle

SHAPE = (700, 760)


@pytest.fixture(scope="module")
def slide():
    return draw_slide(3, SHAPE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, write_demo_slides(folder, count=len(LAYOUTS), shape=SHAPE, seed=3)


def read_rgb(path):
    array = tifffile.imread(path)
    return np.moveaxis(array[0, 0], 0, -1) if array.ndim == 5 else array


def test_same_seed_gives_the_same_slide(slide):
    image, mask = draw_slide(3, SHAPE)
    assert image.tobytes() == slide[0].tobytes()
    assert mask.tobytes() == slide[1].tobytes()


def test_another_seed_gives_another_slide(slide):
    assert not np.array_equal(draw_slide(4, SHAPE)[0], slide[0])


def test_picture_and_mask_have_the_size_asked_for_even_if_odd():
    image, mask = draw_slide(0, (611, 557))
    assert (image.shape, image.dtype) == ((611, 557, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((611, 557), np.uint8)
    assert set(np.unique(mask)) == {0, 1}


def test_glomeruli_lie_inside_the_tissue(slide):
    image, mask = slide
    colourful = cv2.GaussianBlur(image, (0, 0), 6).astype(int)
    stained = colourful.max(axis=-1) - colourful.min(axis=-1) > 8
    around = cv2.dilate(mask, np.ones((21, 21), np.uint8)) > mask
    assert stained[around].mean() > 0.9
    assert stained[mask == 1].mean() > 0.9


def test_glomeruli_are_darker_than_the_glass_and_some_glass_is_blank(slide):
    image, mask = slide
    blank = (image.min(axis=-1) > 232).mean()
    assert blank > 0.1
    assert image[mask == 1].mean() < 215


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_full_slide_has_8_to_20_glomeruli_of_usual_size_that_do_not_touch(seed):
    _, mask = draw_slide(seed)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    assert 8 <= count - 1 <= 20
    assert sides.min() >= 120
    assert sides.max() <= 300


def test_a_slide_too_small_for_tissue_is_refused():
    with pytest.raises(ValueError, match="at least 512"):
        draw_slide(0, (600, 100))


def test_labels_decode_to_the_masks(demo):
    folder, paths = demo
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [path.stem for path in paths]
    for number, (row, path) in enumerate(zip(rows, paths, strict=True)):
        shape = read_rgb(path).shape[:2]
        np.testing.assert_array_equal(decode_rle(row["encoding"], shape), draw_slide(3 + number, shape)[1])


def test_every_layout_gives_the_picture_back(demo):
    for number, path in enumerate(demo[1]):
        image = read_rgb(path)
        drawn = draw_slide(3 + number, image.shape[:2])[0]
        assert np.abs(image.astype(int) - drawn).mean() < 4, path.name  # JPEG loses a little


def test_layouts_differ_as_real_slides_do(demo):
    found = []
    for path in demo[1]:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            subifds = bool(tiff.pages.first.subifds)
            found.append((series.ndim, len(series.levels), tiff.is_ome, subifds, all(n % 2 for n in series.shape[:2])))
    plain, ome, single, planar, odd = found
    assert plain == (3, 3, False, False, False)
    assert ome == (3, 3, True, True, False)
    assert single == (3, 1, False, False, False)
    assert planar[:4] == (5, 1, False, False)
    assert odd == (3, 3, False, False, True)


def test_every_slide_states_half_a_micron_a_pixel(demo):
    for path in demo[1]:
        with tifffile.TiffFile(path) as tiff:
            tags = tiff.pages.first.tags
            assert tags["XResolution"].value == (20000, 1), path.name
            assert tags["ResolutionUnit"].value.name == "CENTIMETER", path.name


def test_writing_twice_gives_the_same_bytes(demo, tmp_path):
    again = write_demo_slides(tmp_path, count=2, shape=SHAPE, seed=3)
    for path, other in zip(demo[1][:2], again, strict=True):
        assert path.read_bytes() == other.read_bytes(), path.name
