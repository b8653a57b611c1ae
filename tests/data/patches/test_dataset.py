import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from data.cases import Case
from data.patches.dataset import PatchDataset, PatchSample, TileSample, list_patches, one_hot
from data.patches.scale import Scale
from data.patches.statistics import PixelStatistics
from data.patches.tiles import save_image, save_mask
from data.sources import SourceError
from data.sources.labels import IGNORE
from data.sources.opening import build_reader
from tests.slides import make_cfg, noise
from utils.rle import RleError


class ArraySample:
    """Arrays as a sample."""

    name = case_id = "a"

    def __init__(self, image, mask):
        self.pair = image, mask

    def read(self):
        return self.pair


def test_an_image_is_normalised_by_hand_and_channels_come_first():
    image = np.array([[[0, 255, 51], [102, 0, 255]]], np.uint8)
    dataset = PatchDataset(
        [ArraySample(image, np.zeros((1, 2), np.uint8))], [0.5, 0.0, 0.2], [0.25, 1.0, 0.5], classes=1
    )
    tensor, target = dataset[0]
    assert tensor.dtype == torch.float32
    assert target.dtype == torch.uint8
    np.testing.assert_allclose(tensor.numpy(), [[[-2, -0.4]], [[1, 0]], [[0, 1.6]]], atol=1e-6)
    assert target.shape == (1, 1, 2)


def test_a_target_has_one_channel_a_class_and_keeps_what_is_ignored():
    mask = np.array([[0, 1, 2], [3, IGNORE, 1]], np.uint8)
    assert one_hot(mask, 3).tolist() == [
        [[0, 1, 0], [0, IGNORE, 1]],
        [[0, 0, 1], [0, IGNORE, 0]],
        [[0, 0, 0], [1, IGNORE, 0]],
    ]
    assert one_hot(mask, 3).dtype == torch.uint8


@pytest.mark.parametrize("shape", [(16, 24), (6, 8, 10)])
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 2)])
def test_shapes_in_any_number_of_axes(shape, channels, classes):
    sample = ArraySample(noise(*shape, channels), noise(*shape) % (classes + 1))
    tensor, target = PatchDataset([sample], [0.5] * channels, [0.2] * channels, classes)[0]
    assert tensor.shape == (channels, *shape)
    assert target.shape == (classes, *shape)
    assert tensor.is_contiguous()


def draws(epoch=0, seed=0, count=4):
    """What a transform is told for each place."""
    told = []

    def transform(image, mask, draw):
        told.append(draw)
        return image, mask

    samples = [ArraySample(noise(4, 4, 3), noise(4, 4) % 2)] * count
    dataset = PatchDataset(samples, [0.5] * 3, [0.2] * 3, 1, transform, seed)
    dataset.epoch = epoch
    for place in range(count):
        dataset[place]
    return told


def test_seed_epoch_and_place_decide_the_draw_alone():
    assert draws(epoch=3, seed=5) == draws(epoch=3, seed=5)
    every = draws() + draws(epoch=1) + draws(seed=1) + draws(seed=1, epoch=1)
    assert len(set(every)) == len(every)
    assert all(0 <= draw < 2**32 for draw in every)


def test_without_a_transform_an_epoch_changes_nothing():
    dataset = PatchDataset([ArraySample(noise(4, 4, 3), noise(4, 4) % 2)], [0.5] * 3, [0.2] * 3, 1)
    first = dataset[0][0]
    dataset.epoch = 1
    assert torch.equal(dataset[0][0], first)


def test_a_tile_reads_its_two_files_and_an_error_names_it(tmp_path):
    image, mask = noise(8, 8, 3), noise(8, 8) % 2
    save_image(tmp_path / "i.png", image)
    save_mask(tmp_path / "m.png", mask)
    sample = TileSample("a_0red4.png", "a", tmp_path / "i.png", tmp_path / "m.png")
    np.testing.assert_array_equal(sample.read()[0], image)
    np.testing.assert_array_equal(sample.read()[1], mask)
    (tmp_path / "m.png").unlink()
    with pytest.raises(SourceError, match=r"a_0red4\.png"):
        sample.read()


def pair(tmp_path, shape=(70, 90)):
    image = noise(shape[0] // 10, shape[1] // 10, 3).repeat(10, 0).repeat(10, 1)
    mask = (image[..., 0] > 127).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "x.png")
    Image.fromarray(mask * 255).save(tmp_path / "x_mask.png")
    return Case("x", tmp_path / "x.png", tmp_path / "x_mask.png"), image, mask


def listed(case, size=32, overlap=0, reduction=1.0, statistics=None, **options):
    reader = build_reader(make_cfg(**options))
    return list_patches(case, reader, Scale(reduction), size, overlap, statistics or PixelStatistics())[0]


def test_patches_of_a_pair_put_together_are_the_pair(tmp_path):
    case, image, mask = pair(tmp_path)
    whole_image, whole_mask = np.zeros_like(image), np.full_like(mask, 9)
    patches = listed(case, overlap=4)
    for patch in patches:
        assert isinstance(patch, PatchSample)
        assert patch.case_id == "x"
        pixels, classes = patch.read()
        assert pixels.shape == (32, 32, 3)
        whole_image[patch.box.slices], whole_mask[patch.box.slices] = pixels, classes
    np.testing.assert_array_equal(whole_image, image)
    np.testing.assert_array_equal(whole_mask, mask)
    assert len({patch.name for patch in patches}) == len(patches) == 12


def test_patches_at_half_the_size_are_averages(tmp_path):
    case, image, mask = pair(tmp_path)
    patches = listed(case, size=32, reduction=2.0)
    assert patches[0].shape == (35, 45)
    pixels, classes = patches[0].read()
    np.testing.assert_array_equal(pixels, image[::2, ::2][:32, :32])
    np.testing.assert_array_equal(classes, mask[::2, ::2][:32, :32])


def test_a_pair_smaller_than_a_patch_is_mirrored_and_ignored_there(tmp_path):
    case, image, mask = pair(tmp_path)
    (patch,) = listed(case, size=96)
    pixels, classes = patch.read()
    np.testing.assert_array_equal(pixels, np.pad(image, [(0, 26), (0, 6), (0, 0)], "symmetric"))
    np.testing.assert_array_equal(classes, np.pad(mask, [(0, 26), (0, 6)], constant_values=IGNORE))


def test_listing_counts_each_pixel_of_the_image_once(tmp_path):
    case, image, _ = pair(tmp_path)
    statistics = PixelStatistics()
    listed(case, overlap=16, statistics=statistics)
    np.testing.assert_allclose(statistics.mean, image.mean((0, 1)) / 255, atol=1e-5)
    np.testing.assert_allclose(statistics.std, image.std((0, 1)) / 255, atol=1e-5)


def test_listing_tells_the_foreground_in_pixels_of_the_patches(tmp_path):
    case, _, mask = pair(tmp_path)
    _, foreground = list_patches(case, build_reader(make_cfg()), Scale(2.0), 32, 16, PixelStatistics())
    assert foreground == pytest.approx(mask.sum() / 4)


def test_a_damaged_image_or_mask_is_found_when_patches_are_listed(tmp_path):
    case, _, _ = pair(tmp_path)
    case.labels.write_bytes(case.labels.read_bytes()[:-40])
    statistics = PixelStatistics()
    with pytest.raises(SourceError, match=r"x_mask\.png"):
        listed(case, statistics=statistics)
    pair(tmp_path)
    case.image.write_bytes(case.image.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"x\.png"):
        listed(case, statistics=statistics)
    tifffile.imwrite(tmp_path / "x.tif", noise(8, 8, 3), photometric="rgb")
    with pytest.raises(RleError, match="starts at 0"):
        listed(Case("x", tmp_path / "x.tif", {"object": "0 3"}), statistics=statistics)
    assert statistics.count == 0
