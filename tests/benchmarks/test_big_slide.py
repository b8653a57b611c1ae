import csv

import numpy as np
import openslide
import pytest

from benchmarks import big_slide
from benchmarks.big_slide import PERIOD, RADIUS, tissue_px
from data.patches.grid import whole
from data.sources import open_source
from utils.rle import decode_rle

SIDE = 2500  # more than a period, and no multiple of a tile


@pytest.fixture
def field(monkeypatch):
    """A smooth field without noise, so that JPEG keeps it, with a mask that reaches over the borders of the period."""
    rows, columns = np.mgrid[:PERIOD, :PERIOD] * (2 * np.pi / PERIOD)
    image = np.stack([120 + 60 * np.sin(rows), 90 + 40 * np.cos(columns), 130 + 50 * np.sin(columns)], axis=-1)
    drawn = (image.astype(np.uint8), (np.cos(rows) + np.cos(3 * columns) > 0.5).astype(np.uint8))
    monkeypatch.setattr(big_slide, "draw_field", lambda: drawn)
    return drawn


def disc(side):
    place = np.arange(side) - (side - 1) / 2
    return np.hypot(place[:, None], place) < RADIUS * side


def write(folder, *words):
    big_slide.main([str(folder), str(SIDE), *words])
    return folder / "slides" / f"{folder.name}.tiff"


def test_field_repeats_inside_the_disc_and_glass_lies_around_it(tmp_path, field):
    with open_source(write(tmp_path / "one")) as source:
        pixels = source.read(whole(source.shape))
    expected = np.where(disc(SIDE)[..., None], np.tile(field[0], (2, 2, 1))[:SIDE, :SIDE], big_slide.GLASS)
    assert np.abs(pixels.astype(int) - expected).mean() < 2


def test_every_level_shows_the_same(tmp_path, field):
    with open_source(write(tmp_path / "one")) as source:
        assert source.level_shapes == ((SIDE, SIDE), (SIDE // 2, SIDE // 2), (SIDE // 4, SIDE // 4))
        assert source.spacing_um == pytest.approx((0.25, 0.25))
        full, *others = (
            source.read(whole(shape), level).astype(int) for level, shape in enumerate(source.level_shapes)
        )
    for step, smaller in zip((2, 4), others, strict=True):
        assert np.abs(full[::step, ::step] - smaller).mean() < 3


def test_another_reader_sees_the_same_pyramid(tmp_path, field):
    path = write(tmp_path / "one")
    with open_source(path) as source, openslide.OpenSlide(path) as other:
        assert [shape[::-1] for shape in source.level_shapes] == list(other.level_dimensions)
        seen = np.asarray(other.read_region((1000, 1000), 0, (256, 256)).convert("RGB")).astype(int)
        assert np.abs(source.read(whole(source.shape))[1000:1256, 1000:1256] - seen).max() <= 2


def test_labels_are_the_mask_of_the_field_inside_the_disc(tmp_path, field):
    write(tmp_path / "one")
    csv.field_size_limit(10**8)
    with (tmp_path / "one" / "labels.csv").open() as file:
        (row,) = csv.DictReader(file)
    expected = np.where(disc(SIDE), np.tile(field[1], (2, 2))[:SIDE, :SIDE], 0)
    np.testing.assert_array_equal(decode_rle(row["encoding"], (SIDE, SIDE)), expected)
    assert row["id"] == "one"


def test_flat_has_one_level_and_glass_no_tissue_and_no_labels(tmp_path):
    with open_source(write(tmp_path / "two", "--flat", "--glass")) as source:
        assert source.level_shapes == ((SIDE, SIDE),)
        assert np.ptp(source.read(whole(source.shape))) == 0
    assert (tmp_path / "two" / "labels.csv").read_text() == "id,encoding\ntwo,\n"


def test_disc_fills_half_of_the_slide():
    assert tissue_px(SIDE) == pytest.approx(np.count_nonzero(disc(SIDE)), rel=1e-3)
    assert tissue_px(SIDE, 4) == tissue_px(SIDE) / 16
