import numpy as np
import openslide
import pytest
import tifffile
import tiffslide
from scipy import ndimage

import data.writers.mask_tiff as mask_tiff
from data.patches.grid import whole
from data.stitching.mask import MaskView
from data.stitching.probability_map import Frame, ProbabilityMap
from data.writers.mask_tiff import pyramid_shapes, read_columns, write_mask_tiff


def smooth_map(shape, level0, channels=1, spacing_um=None, start=None, image=None):
    noise = np.random.default_rng(0).random((channels, *shape))
    values = ndimage.gaussian_filter(noise, (0, 4, 4))
    values = (255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)
    frame = Frame(start or (0, 0), level0, image or level0, tuple("abc"[:channels]), spacing_um)
    return ProbabilityMap(values, frame)


def read_levels(path):
    with tifffile.TiffFile(path) as file:
        return [level.asarray() for level in file.series[0].levels], [page.tags for page in file.pages]


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    probabilities = smooth_map((300, 700), (1201, 2803), spacing_um=(0.5, 0.25))
    path = tmp_path_factory.mktemp("masks") / "mask.tiff"
    write_mask_tiff(path, probabilities, 0.5)
    return path, probabilities


def views(probabilities, threshold=0.5):
    shapes = pyramid_shapes(probabilities.frame.shape_level0)
    return [MaskView(probabilities.on_image(shape), threshold).read(whole(shape)) for shape in shapes]


def test_pyramid_levels_halve_until_they_are_small():
    assert pyramid_shapes((1000, 1024)) == [(1000, 1024)]
    assert pyramid_shapes((1201, 2803)) == [(1201, 2803), (600, 1401), (300, 700)]
    assert pyramid_shapes((1, 5000))[-1] == (1, 625)


def test_every_level_equals_its_view_of_the_mask(pyramid):
    path, probabilities = pyramid
    levels, _ = read_levels(path)
    for found, wanted in zip(levels, views(probabilities), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert 0.1 < levels[0].mean() < 0.9


def test_three_readers_see_the_same_pyramid(pyramid):
    path, probabilities = pyramid
    wanted = tuple(shape[::-1] for shape in pyramid_shapes(probabilities.frame.shape_level0))
    with tifffile.TiffFile(path) as file:
        assert len(file.series) == 1
        assert tuple(level.shape[::-1] for level in file.series[0].levels) == wanted
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == wanted
    with tiffslide.TiffSlide(path) as slide:
        assert slide.level_dimensions == wanted


def test_three_readers_see_the_same_pixels(pyramid):
    path, probabilities = pyramid
    region = np.s_[700:900, 1000:1300]
    foreground = views(probabilities)[0][region] > 0
    with openslide.OpenSlide(path) as slide:
        seen = np.asarray(slide.read_region((1000, 700), 0, (300, 200)))[..., :3]
    assert {tuple(colour) for colour in seen[~foreground]} == {(0, 0, 0)}
    assert (0, 0, 0) not in {tuple(colour) for colour in seen[foreground]}
    with tiffslide.TiffSlide(path) as slide:
        values = slide.read_region((1000, 700), 0, (300, 200), as_array=True)
    np.testing.assert_array_equal(values.reshape(200, 300, -1)[..., 0] > 0, foreground)


def test_the_pixel_size_is_kept_at_every_level(pyramid):
    path, _ = pyramid
    _, pages = read_levels(path)
    for tags, (rows, columns) in zip(pages, [(1201, 2803), (600, 1401), (300, 700)], strict=True):
        um = {axis: 10_000 * tags[f"{axis}Resolution"].value[1] / tags[f"{axis}Resolution"].value[0] for axis in "XY"}
        assert tags["ResolutionUnit"].value == 3
        assert um["Y"] == pytest.approx(0.5 * 1201 / rows, rel=1e-5)
        assert um["X"] == pytest.approx(0.25 * 2803 / columns, rel=1e-5)
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25, rel=1e-5)
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_Y]) == pytest.approx(0.5, rel=1e-5)


def test_without_a_pixel_size_none_is_made_up(tmp_path):
    write_mask_tiff(tmp_path / "m.tiff", smooth_map((30, 30), (60, 60)), 0.5)
    _, (tags,) = read_levels(tmp_path / "m.tiff")
    assert tags["ResolutionUnit"].value == 1
    assert "Software" not in tags or not tags["Software"].value


@pytest.mark.parametrize("level0", [(1, 1), (7, 2000), (512, 512), (513, 511), (100, 30)])
def test_odd_and_tiny_sizes_are_written(tmp_path, level0):
    probabilities = (
        smooth_map((max(1, level0[0] // 2), max(1, level0[1] // 2)), level0)
        if min(level0) > 1
        else (ProbabilityMap(np.full((1, *level0), 255, np.uint8), Frame((0, 0), level0, level0, ("a",))))
    )
    write_mask_tiff(tmp_path / "m.tiff", probabilities, 0.5)
    levels, _ = read_levels(tmp_path / "m.tiff")
    for found, wanted in zip(levels, views(probabilities), strict=True):
        np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_classes_are_indices_with_a_colour_each(tmp_path):
    probabilities = smooth_map((60, 60), (200, 150), channels=3)
    write_mask_tiff(tmp_path / "m.tiff", probabilities, 0.6)
    with tifffile.TiffFile(tmp_path / "m.tiff") as file:
        found, colours = file.asarray(), np.array(file.pages[0].colormap).T
    np.testing.assert_array_equal(found, views(probabilities, 0.6)[0])
    assert set(np.unique(found)) == {0, 1, 2, 3}
    assert len({tuple(colour) for colour in colours[:4]}) == 4
    assert not colours[0].any()
    assert colours[1:].any(1).all()  # no class looks like background


def test_a_crop_is_put_back_at_its_place(tmp_path):
    probabilities = smooth_map((40, 50), (40, 50), start=(10, 20), image=(90, 100))
    write_mask_tiff(tmp_path / "m.tiff", probabilities, 0.5)
    (found,), _ = read_levels(tmp_path / "m.tiff")
    assert found.shape == (90, 100)
    np.testing.assert_array_equal(found[10:50, 20:70], probabilities.read(whole((40, 50)))[..., 0] >= 128)
    assert found.sum() == found[10:50, 20:70].sum()


def test_equal_masks_give_equal_files_and_a_failure_leaves_none(tmp_path, monkeypatch):
    probabilities = smooth_map((60, 60), (200, 150))
    for name in ("a", "b"):
        write_mask_tiff(tmp_path / name / "m.tiff", probabilities, 0.5)
    assert (tmp_path / "a/m.tiff").read_bytes() == (tmp_path / "b/m.tiff").read_bytes()
    monkeypatch.setattr(mask_tiff, "_resolution", lambda *_: {"resolutionunit": "PARSEC"})
    with pytest.raises(Exception, match=r"(?i)parsec"):
        write_mask_tiff(tmp_path / "c" / "m.tiff", probabilities, 0.5)
    assert list((tmp_path / "c").iterdir()) == []


def test_columns_of_tiles_are_read_back_as_they_were_written(pyramid):
    path, probabilities = pyramid
    columns = [np.concatenate(list(tiles)) for tiles in read_columns(path)]
    assert [column.shape for column in columns] == [(1201, 512)] * 5 + [(1201, 2803 - 5 * 512)]
    np.testing.assert_array_equal(np.concatenate(columns, axis=1), views(probabilities)[0])


def test_a_constant_tile_is_encoded_once_and_read_as_one_cell(tmp_path, monkeypatch):
    values = np.zeros((1, 300, 300), np.uint8)
    values[:, 100:] = 255
    encoded = []
    plain = mask_tiff._encode
    monkeypatch.setattr(mask_tiff, "_encode", lambda tile: encoded.append(tile) or plain(tile))
    monkeypatch.setattr(mask_tiff, "TILE", 16)
    write_mask_tiff(tmp_path / "m.tiff", ProbabilityMap(values, Frame((0, 0), (300, 300), (300, 300), ("a",))), 0.5)
    assert len([tile for tile in encoded if tile.min() == tile.max()]) == 2
    tiles = [tile for column in read_columns(tmp_path / "m.tiff") for tile in column]
    assert len(tiles) == 19 * 19
    assert all(not any(tile.strides) for tile in tiles if tile.min() == tile.max() and tile.shape == (16, 16))
    (level,), _ = read_levels(tmp_path / "m.tiff")
    np.testing.assert_array_equal(level, values[0] // 255)
