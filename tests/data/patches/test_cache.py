import errno
import os

import numpy as np
import pytest
from fastai.data.load import DataLoader
from PIL import Image

from config import load_cfg
from data.cases import Case
from data.patches.cache import CachedSample, build_cache, cache_samples
from data.patches.dataset import PatchDataset, PatchSample, TileSample, list_patches, read_together
from data.patches.scale import Scale
from data.patches.statistics import PixelStatistics
from data.patches.tiles import save_image, save_mask
from data.sources import SourceError
from data.sources.image import ImageSource
from data.sources.opening import build_reader
from tests.slides import noise

EACH = 32 * 24 * 4  # bytes of a sample: three channels and a mask


@pytest.fixture
def tiles(tmp_path):
    samples = []
    for number in range(7):
        image, mask = (tmp_path / f"{kind}{number}.png" for kind in ("image", "mask"))
        save_image(image, noise(32, 24, 3, seed=number))
        save_mask(mask, noise(32, 24, seed=number) % 2)
        samples.append(TileSample(f"tile{number}", f"case{number // 3}", image, mask))
    return samples


@pytest.fixture
def patches(tmp_path):
    Image.fromarray(noise(90, 70, 3)).save(tmp_path / "a.png")
    Image.fromarray(noise(90, 70) % 2).save(tmp_path / "a_mask.png")
    case = Case("a", tmp_path / "a.png", tmp_path / "a_mask.png")
    return list_patches(case, build_reader(load_cfg()), Scale(1.0), 32, 8, PixelStatistics())


def patches_of(found):
    return found[0] if isinstance(found, tuple) else found


def remove(tiles):
    for tile in tiles:
        tile.image.unlink()
        tile.mask.unlink()


def assert_same(samples, pairs):
    for sample, (image, mask) in zip(samples, pairs, strict=True):
        found = sample.read()
        np.testing.assert_array_equal(found[0], image)
        np.testing.assert_array_equal(found[1], mask)


@pytest.mark.parametrize("on_disk", [False, True])
def test_cached_samples_give_the_same_pixels_without_their_files(tiles, tmp_path, on_disk):
    pairs = [tile.read() for tile in tiles]
    cached = cache_samples(tiles, 10**6, tmp_path / "room" if on_disk else None)
    remove(tiles)
    assert_same(cached, pairs)
    assert [(sample.name, sample.case_id) for sample in cached] == [(tile.name, tile.case_id) for tile in tiles]


def test_patches_of_an_image_are_cached_from_one_decoding(patches, monkeypatch):
    patches = patches_of(patches)
    pairs, opened = [patch.read() for patch in patches], []
    init = ImageSource.__init__
    monkeypatch.setattr(ImageSource, "__init__", lambda self, path: opened.append(path.name) or init(self, path))
    cached = cache_samples(patches, 10**6)
    assert len(patches) == 12
    assert sorted(opened) == ["a.png", "a.png", "a_mask.png", "a_mask.png"]  # once for the shape, once for all
    assert_same(cached, pairs)
    assert len(opened) == 4


def test_what_finds_no_room_is_read_from_its_file(tiles):
    pairs = [tile.read() for tile in tiles]
    for room, count in ((0, 0), (EACH - 1, 0), (EACH, 1), (5 * EACH + 7, 5), (7 * EACH, 7), (10**6, 7)):
        cached = cache_samples(tiles, room)
        assert [isinstance(sample, CachedSample) for sample in cached] == [True] * count + [False] * (7 - count)
        assert_same(cached, pairs)


def test_a_sample_of_another_shape_stays_as_it_is(tiles):
    save_image(tiles[3].image, noise(16, 24, 3))
    cached = cache_samples(tiles, 10**6)
    assert cached[3] is tiles[3]
    assert sum(isinstance(sample, CachedSample) for sample in cached) == 6


def test_no_samples_need_no_cache():
    assert cache_samples([], 10**6) == []


def test_changing_what_was_read_changes_nothing_in_the_cache(tiles):
    cached = cache_samples(tiles, 10**6)
    before = [values.copy() for values in cached[0].read()]
    for values in cached[0].read():
        values[...] = 77
    assert_same(cached[:1], [before])


def test_a_damaged_tile_is_named_before_training(tiles):
    tiles[4].image.write_bytes(b"no picture")
    with pytest.raises(SourceError, match="tile4"):
        cache_samples(tiles, 10**6)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_loaders_with_any_number_of_workers_give_what_they_give_without_a_cache(tiles, workers):
    def batches(samples, workers):
        dataset = PatchDataset(samples, [0.5] * 3, [0.2] * 3, 1)
        return [(images.numpy(), masks.numpy()) for images, masks in DataLoader(dataset, bs=3, num_workers=workers)]

    expected = batches(tiles, 0)
    cached = cache_samples(tiles, 5 * EACH)
    remove(tiles[:5])
    for found, wanted in zip(batches(cached, workers), expected, strict=True):
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])


def test_a_cache_on_disk_has_no_name_that_could_be_left_behind(tiles, tmp_path):
    room = tmp_path / "room"
    cached = cache_samples(tiles, 10**6, room)
    assert isinstance(cached[0], CachedSample)
    assert list(room.iterdir()) == []


def test_a_full_disk_names_the_option(tiles, tmp_path, monkeypatch):
    def full(file, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device.*set SOLVER\.CACHE_GB lower") as caught:
        cache_samples(tiles, 10**6, tmp_path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_the_config_says_where_samples_are_kept_and_how_much_room_there_is(tiles, tmp_path, caplog):
    def build(kind, gigabytes):
        options = ["SOLVER.CACHE", kind, "SOLVER.CACHE_GB", str(gigabytes), "OUTPUT_DIR", str(tmp_path / "out")]
        return build_cache(load_cfg(options=options), tiles)

    caplog.set_level("INFO")
    assert build("none", 1) is tiles
    assert not (tmp_path / "out").exists()
    assert all(isinstance(sample, CachedSample) for sample in build("memory", 1))
    assert not (tmp_path / "out").exists()
    assert sum(isinstance(sample, CachedSample) for sample in build("disk", 2.5 * EACH / 1e9)) == 2
    assert "2 of 7 patches are kept decoded (SOLVER.CACHE disk)" in caplog.text


def test_reading_together_gives_what_reading_one_by_one_gives(tiles, patches):
    patches = patches_of(patches)
    for samples in (tiles[:3], patches, [*patches, tiles[0]]):
        for found, sample in zip(read_together(samples), samples, strict=True):
            for values, wanted in zip(found, sample.read(), strict=True):
                np.testing.assert_array_equal(values, wanted)
    assert isinstance(patches[0], PatchSample)
