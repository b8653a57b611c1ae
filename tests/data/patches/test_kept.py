import numpy as np
import pytest
from PIL import Image

from data.patches.grid import Box
from data.patches.kept import FADED, LINE_PX, REASONS, draw_kept, write_kept
from data.patches.otsu import INK, SMALL
from data.patches.tissue import TissueMap

SHAPE = (60, 300)


def tissue_map(channels=3):
    mask, rejected = np.zeros(SHAPE, bool), np.zeros(SHAPE, np.uint8)
    mask[10:40, 20:80] = True
    rejected[20:30, 200:220], rejected[50:52, 150:152] = INK, SMALL
    return TissueMap(mask, np.full((*SHAPE, channels), 100, np.uint8), rejected)


def drawn(*boxes, channels=3):
    return draw_kept(tissue_map(channels), boxes, tuple(4 * n for n in SHAPE))


def test_a_box_is_drawn_where_it_lies_and_only_what_is_outside_of_it_fades():
    picture = drawn(Box((0, 0), (240, 400)))
    assert picture.shape == (60 + LINE_PX, 300, 3)
    assert (picture[55, 50] == 100).all()
    assert (picture[55, 120] == round(255 - FADED * 155)).all()
    assert (picture[55, 99] < 50).all()  # the box's right edge: column 400 of 1200 is 100 of 300


def test_every_reason_has_its_colour_and_its_word_only_where_it_occurs():
    picture = drawn()
    assert tuple(picture[25, 210]) == REASONS[INK][1]
    legend = {tuple(colour) for colour in picture[SHAPE[0] :].reshape(-1, 3).tolist()}
    shown = {why for why, (_, colour) in REASONS.items() if colour in legend}
    assert shown == {INK, SMALL}


def test_tissue_is_outlined_not_covered():
    plain, picture = drawn(Box((0, 0), (240, 1200))), tissue_map().picture
    assert (plain[20:30, 35:65] == picture[20:30, 35:65]).all()
    assert (plain[10:40, 20:80] != picture[10:40, 20:80]).any()


def test_a_grey_picture_is_drawn_too():
    assert drawn(Box((0, 0), (240, 400)), channels=1).shape == (60 + LINE_PX, 300, 3)


def test_a_box_that_reaches_past_the_image_ends_with_it():
    assert (drawn(Box((0, 1100), (500, 500)))[59, 299] < 50).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (300, 2)])
def test_a_slender_slide_is_drawn(shape):
    tissue = TissueMap(np.ones(shape, bool), np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8))
    assert draw_kept(tissue, [Box((0, 0), shape)], shape).shape == (shape[0] + LINE_PX, shape[1], 3)


def test_writing_twice_gives_the_same_bytes_and_without_tissue_the_old_picture_goes(tmp_path):
    path = tmp_path / "tissue" / "a.jpg"
    boxes = [Box((0, 0), (240, 400))]
    write_kept(path, tissue_map(), boxes, (240, 1200))
    first = path.read_bytes()
    write_kept(path, tissue_map(), boxes, (240, 1200))
    assert path.read_bytes() == first
    with Image.open(path) as image:
        assert image.size == (300, 60 + LINE_PX)
    write_kept(path, None, boxes, (240, 1200))
    assert not path.exists()
