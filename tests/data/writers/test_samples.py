from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

import data.writers.samples as samples
from data.sources.labels import IGNORE
from data.writers.samples import flat_row, middle_slice, write_samples
from tests.small_volumes import ball, intensities


@dataclass(frozen=True)
class Fake:
    name: str
    mask_value: int = 0
    channels: int = 3
    case_id: str = "case"

    def read(self):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:24, 8:24] = self.mask_value
        return np.full((32, 32, self.channels), 100, np.uint8), mask


def predict_square(patches):
    assert patches.dtype == np.uint8
    probabilities = np.zeros((len(patches), 1, 32, 32), np.float32)
    probabilities[:, :, 8:24, 8:24] = 0.9
    return probabilities


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn: (rows, titles)."""
    calls = []
    draw = samples.picture_grid
    monkeypatch.setattr(samples, "picture_grid", lambda *args: (calls.append(args[:2]), draw(*args)))
    return calls


def test_a_picture_is_written_with_the_dice_of_each_sample(tmp_path, drawn):
    write_samples(tmp_path / "s.png", [Fake("a", 1), Fake("b", 0)], predict_square)
    with Image.open(tmp_path / "s.png") as image:
        assert image.format == "PNG"
    ((rows, titles),) = drawn
    assert [title.split() for title in titles] == [
        ["a", "Dice", "1.000,", "IoU", "1.000"],
        ["b", "Dice", "0.000,", "IoU", "0.000"],
    ]
    assert rows[0][2].sum() == 256


def test_annotated_samples_come_first(tmp_path, drawn):
    many = [Fake(f"n{number}") for number in range(12)] + [Fake("yes", 1), Fake("ignored", IGNORE)]
    write_samples(tmp_path / "s.png", many, predict_square, count=2)
    ((_, titles),) = drawn
    assert titles[0].split()[0] == "yes"
    assert titles[1].split()[0] != "ignored"


def test_ignored_pixels_do_not_count_in_the_dice(tmp_path, drawn):
    class Half(Fake):
        def read(self):
            image, mask = super().read()
            mask[8:24, 8:16] = IGNORE
            return image, mask

    write_samples(tmp_path / "s.png", [Half("half", 1)], predict_square)
    assert drawn[0][1][0].split()[-1] == "1.000"


@pytest.mark.parametrize(("number", "shown"), [(1, 1), (3, 3), (4, 4), (50, 4)])
def test_at_most_four_are_shown(tmp_path, drawn, number, shown):
    write_samples(tmp_path / "s.png", [Fake(str(n), 1) for n in range(number)], predict_square)
    assert len(drawn[0][1]) == shown


def test_grey_samples_are_drawn_too(tmp_path):
    write_samples(tmp_path / "s.png", [Fake("grey", 1, channels=1)], predict_square)
    assert (tmp_path / "s.png").is_file()


class Volume(Fake):
    def read(self):
        return intensities(12, 16, 20), ball((12, 16, 20), (8, 6, 9), 3, self.mask_value)


def predict_volume(patches):
    assert patches.dtype == np.float32
    truth = ball((12, 16, 20), (8, 6, 9), 3)
    return 0.9 * truth[None, None].astype(np.float32)


def test_a_volume_is_drawn_by_the_slice_in_the_middle_of_its_truth(tmp_path, drawn):
    write_samples(tmp_path / "s.png", [Volume("v", 1)], predict_volume)
    ((image, truth, predicted),) = drawn[0][0]
    np.testing.assert_array_equal(image, np.rint(intensities(12, 16, 20)[8]).astype(np.uint8))
    np.testing.assert_array_equal(truth, ball((12, 16, 20), (8, 6, 9), 3)[8])
    np.testing.assert_array_equal(predicted, truth)
    assert drawn[0][1] == ["v   Dice 1.000, IoU 1.000"]


@pytest.mark.parametrize(
    ("areas", "middle"), [([0, 0, 0, 0], 2), ([0, 4, 0, 0], 1), ([0, 1, 5, 1], 2), ([3, 0, 0, 9], 3)]
)
def test_the_middle_slice_parts_the_foreground(areas, middle):
    truth = np.array([[[1] * area + [0] * (9 - area) + [IGNORE]] for area in areas], np.uint8)
    assert middle_slice(truth) == middle


def test_a_flat_sample_is_drawn_as_it_is():
    image, mask = np.full((4, 5, 3), 7, np.uint8), np.zeros((4, 5), np.uint8)
    row = flat_row(image, mask, mask)
    assert row[0].dtype == np.uint8
    np.testing.assert_array_equal(row[0], image)
