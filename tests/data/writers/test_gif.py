import numpy as np
import pytest
from PIL import Image

from data.sources.source import ArraySource
from data.writers.gif import frame_palette, paint, write_gif
from tests.maps import memory_map
from utils.colours import CLASS_COLOURS

SHAPE = (6, 40, 50)
SPACING_UM = (3000.0, 1000.0, 1000.0)


@pytest.fixture
def source():
    pixels = 255 * np.random.default_rng(0).random((*SHAPE, 1), np.float32)
    pixels[2:5] = 0  # slices that are equal
    return ArraySource(pixels, SPACING_UM)


def a_map(classes=("a",)):
    values = np.zeros((len(classes), *SHAPE), np.uint8)
    values[-1, 1:4, 10:30, 15:35] = 255
    return memory_map(values, list(classes))


def frames(path):
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")))
        return found


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_film_has_one_frame_a_slice_along_any_axis(tmp_path, source, axis):
    write_gif(tmp_path / "a.gif", source, a_map(), 0.5, axis)
    found = frames(tmp_path / "a.gif")
    assert len(found) == SHAPE[axis]
    height, width = found[0].shape[:2]
    mm = [n * um / 1000 for n, um in zip(SHAPE, SPACING_UM, strict=True)]
    del mm[axis]
    assert height / width == pytest.approx(mm[0] / mm[1], rel=0.02)


def test_frames_show_their_own_slice_with_the_mask_in_its_colour(tmp_path, source):
    write_gif(tmp_path / "a.gif", source, a_map(), 0.5, 0)
    found = frames(tmp_path / "a.gif")
    scale = found[0].shape[1] / SHAPE[2]
    row, column = round(20 * scale), round(25 * scale)  # in the middle of the object
    red, green, blue = found[2][row, column]  # a black slice under green
    assert green > 40
    assert green > red
    assert green > blue
    assert (found[4][row, column] == 0).all()  # black without an object
    assert found[5].std() > 20


def test_equal_input_gives_equal_bytes(tmp_path, source):
    write_gif(tmp_path / "a.gif", source, a_map(), 0.5, 0)
    write_gif(tmp_path / "b.gif", source, a_map(), 0.5, 0)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


@pytest.mark.parametrize("colours", [1, 2, 7])
def test_the_palette_holds_greys_tints_and_colours(colours):
    palette = frame_palette(colours)
    assert palette.shape == (256, 3)
    mask = np.zeros((9, 9), np.uint8)
    mask[2:7, 2:7] = colours
    painted = palette[paint(np.full((9, 9), 255, np.uint8), mask, colours)]
    assert (painted[0, 0] == 255).all()
    assert tuple(painted[2, 3]) == CLASS_COLOURS[colours - 1]  # the edge
    np.testing.assert_allclose(painted[4, 4], 0.6 * 255 + 0.4 * np.array(CLASS_COLOURS[colours - 1]), atol=1)


def test_more_classes_than_colours_begin_anew():
    mask = np.full((5, 5), 8, np.uint8)
    np.testing.assert_array_equal(paint(mask, mask, 7), paint(mask, mask - 7, 7))


def test_a_film_of_many_classes_can_be_written(tmp_path, source):
    write_gif(tmp_path / "a.gif", source, a_map(tuple("abcdefghi")), 0.5, 0)
    assert len(frames(tmp_path / "a.gif")) == SHAPE[0]
