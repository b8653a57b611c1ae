import threading
import time
import tracemalloc

import numpy as np
import pytest
import tifffile

from data.patches.grid import Box, Grid, Windows, whole
from data.patches.plan import Plan, plan_patches
from data.sources import open_source
from data.sources.source import ArraySource, model_shape
from data.stitching.probability_map import create_map, frame_of, open_map
from data.stitching.sliding_window import PatchReader, predict_map
from data.stitching.stitcher import SLOPES, blend_weights
from tests.maps import memory_map


def identity(patches):
    """A network that says of every pixel what it is: (N, C, *) uint8 -> (N, C, *) float32."""
    return patches.astype(np.float32) / 255


def picture(shape, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, channels), np.uint8)


def empty_map(shape, channels):
    return memory_map(np.zeros((channels, *shape), np.uint8), [f"class{k}" for k in range(channels)])


def run(source, plan, predict, target, batch_size=2, track=None):
    with PatchReader(source, plan, batch_size) as reader:
        predict_map(reader, predict, target, track)
    return target.read(whole(plan.shape))


def predict(source, patch, overlap, predict=identity, shape=None, channels=3, **options):
    plan = Grid(shape or source.shape, patch, overlap)
    return run(source, plan, predict, empty_map(plan.shape, channels), **options)


def write_planar(path, image):
    tifffile.imwrite(path, np.moveaxis(image, -1, 0)[None, None], photometric="rgb", planarconfig="separate")


def write_planar_tiled(path, image):
    planes = np.moveaxis(image, -1, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", tile=(32, 48), compression="zlib")


def write_planes_as_pages(path, image):
    planes = np.moveaxis(image, -1, 0)[None, None]
    tifffile.imwrite(path, planes, photometric="minisblack", ome=True, metadata={"axes": "TZCYX"})


def write_page_pyramid(path, image):
    with tifffile.TiffWriter(path) as writer:
        for level in range(3):
            step = 2**level
            small = np.ascontiguousarray(image[::step, ::step])
            writer.write(small, photometric="rgb", tile=(32, 32), subfiletype=int(level > 0), metadata=None)


def write_ome_pyramid(path, image):
    with tifffile.TiffWriter(path, ome=True) as writer:
        options = {"photometric": "rgb", "tile": (32, 32), "compression": "zlib"}
        writer.write(image, subifds=1, metadata={"axes": "YXS"}, **options)
        writer.write(np.ascontiguousarray(image[::2, ::2]), subfiletype=1, **options)


LAYOUTS = {
    "strips": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", rowsperstrip=7),
    "one_strip": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", rowsperstrip=10**6),
    "tiles": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", tile=(32, 16), compression="lzw"),
    "bigtiff": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", bigtiff=True, predictor=True,
                                                    compression="zlib"),
    "big_endian": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", byteorder=">"),
    "planar_5d": write_planar,
    "planar_tiles": write_planar_tiled,
    "planes_as_pages": write_planes_as_pages,
    "page_pyramid": write_page_pyramid,
    "ome_subifds": write_ome_pyramid,
}  # fmt: skip


@pytest.mark.parametrize("shape", [(64, 64), (101, 77), (33, 130), (20, 25), (1, 90)])
@pytest.mark.parametrize("overlap", [0, 5, 31])
def test_stitching_the_tiles_gives_the_image_back(shape, overlap):
    image = picture(shape)
    found = predict(ArraySource(image), (32, 32), (overlap, overlap), batch_size=3)
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("shape", [(16, 16, 16), (7, 21, 19), (3, 30, 5)])
def test_stitching_the_blocks_gives_the_volume_back(shape):
    volume = picture(shape, channels=1)
    found = predict(ArraySource(volume), (8, 8, 8), (3, 2, 0), channels=1)
    np.testing.assert_array_equal(found, volume)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(97, 115), (20, 45)])
def test_every_tiff_layout_is_given_back(tmp_path, layout, shape):
    image = picture(shape)
    LAYOUTS[layout](tmp_path / "slide.tif", image)
    with open_source(tmp_path / "slide.tif") as source:
        found = predict(source, (64, 64), (16, 16))
    np.testing.assert_array_equal(found, image)


def test_at_a_reduction_the_area_averages_come_out():
    image = picture((90, 60))
    source = ArraySource(image)
    shape = model_shape(source, 3)
    found = predict(source, (16, 16), (4, 4), shape=shape)
    means = image.reshape(30, 3, 20, 3, 3).astype(float).mean((1, 3))
    assert shape == (30, 20)
    assert np.abs(found - means).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("shape", [(300, 500), (700, 90), (20, 25)])
def test_stitching_fitted_patches_gives_the_image_back(shape):
    image = picture(shape)
    plan = plan_patches(shape, 128, 32)
    np.testing.assert_array_equal(run(ArraySource(image), plan, identity, empty_map(shape, 3)), image)


def test_an_uncovered_place_leaves_its_neighbours_as_they_are():
    image = np.full((40, 100, 1), 200, np.uint8)
    plan = Plan((40, 100), (0, 10), (Box((0, 30), (40, 40)), Box((0, 60), (40, 40))))
    found = run(ArraySource(image), plan, identity, empty_map((40, 100), 1))
    assert (found[:, 30:] == 200).all()
    assert (found[:, :30] == 0).all()


def test_without_patches_the_map_is_zero_and_the_network_is_not_asked():
    plan = Plan((50, 50), (0, 0), ())
    found = run(ArraySource(picture((50, 50))), plan, lambda _: pytest.fail("asked"), empty_map((50, 50), 3))
    assert not found.any()


def test_patches_of_other_sizes_never_share_a_batch():
    boxes = (Box((0, 0), (32, 32)), Box((0, 32), (32, 32)), Box((0, 64), (32, 64)), Box((32, 0), (32, 32)))
    seen = []

    def note(patches):
        seen.append(patches.shape)
        return identity(patches)

    run(ArraySource(picture((64, 128))), Plan((64, 128), (0, 0), boxes), note, empty_map((64, 128), 3), batch_size=4)
    assert seen == [(2, 3, 32, 32), (1, 3, 32, 64), (1, 3, 32, 32)]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batches_hold_at_most_the_size_and_every_patch_once(batch_size):
    sizes = []

    def count(patches):
        assert patches.dtype == np.uint8
        sizes.append(len(patches))
        return identity(patches)

    image = picture((70, 70))
    found = predict(ArraySource(image), (32, 32), (0, 0), predict=count, batch_size=batch_size)
    np.testing.assert_array_equal(found, image)
    assert sum(sizes) == 9
    assert max(sizes) <= batch_size


def test_a_source_that_fails_stops_the_prediction_with_its_own_error():
    class Broken(ArraySource):
        def read(self, box, level=0):
            if box.start[0] > 0:
                raise ValueError("slide.tif is damaged")
            return super().read(box, level)

    with pytest.raises(ValueError, match=r"slide\.tif is damaged"):
        predict(Broken(picture((90, 40))), (32, 32), (0, 0))


def test_a_network_that_fails_stops_the_prediction_with_its_own_error():
    def fail(patches):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        predict(ArraySource(picture((90, 40))), (32, 32), (0, 0), predict=fail)


def test_progress_counts_the_batches():
    seen = []

    def track(steps, label, total):
        for step in steps:
            seen.append((label, total))
            yield step

    predict(ArraySource(picture((64, 64))), (32, 32), (0, 0), batch_size=3, track=track)
    assert seen == [("patches", 2)] * 2


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_as_many_batches_as_the_network_bears_are_computed_side_by_side(at_once):
    image, lock, now, most = picture((96, 96)), threading.Lock(), [], []

    class Network:
        def __init__(self):
            self.at_once = at_once

        def __call__(self, patches):
            with lock:
                now.append(1)
                most.append(len(now))
            time.sleep(0.02)
            with lock:
                now.pop()
            return identity(patches)

    np.testing.assert_array_equal(predict(ArraySource(image), (32, 32), (0, 0), predict=Network(), batch_size=1), image)
    assert max(most) == at_once


def test_a_map_on_disk_holds_what_was_predicted(tmp_path):
    image = picture((130, 45), channels=2)
    source = ArraySource(image, spacing_um=(0.5, 0.25))
    target = create_map(tmp_path / "map.zarr", source.shape, frame_of(source, ["a", "b"]))
    run(source, Grid(source.shape, (64, 64), (8, 8)), identity, target)
    found = open_map(tmp_path / "map.zarr")
    np.testing.assert_array_equal(found.read(whole(source.shape)), image)
    assert found.frame == frame_of(source, ["a", "b"])


def smooth(patches):
    """A network of two classes whose answer depends on the place within its patch, as that of a real one does."""
    inside = np.cumsum(patches.astype(np.float32) / 255, -1) / (1 + np.arange(patches.shape[-1], dtype=np.float32))
    return np.concatenate([inside, 1 - inside**2], 1)


def float_volume(shape, seed=0):
    return ArraySource(255 * np.random.default_rng(seed).random((*shape, 1), np.float32), (2000.0, 700.0, 700.0))


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_a_window_that_is_the_volume_gives_what_one_forward_pass_gives(name, overlap):
    source, target = float_volume((24, 16, 20)), empty_map((24, 16, 20), 2)
    with PatchReader(source, Windows((24, 16, 20), overlap=overlap).over(source.shape), 4) as reader:
        predict_map(reader, smooth, target, slope=SLOPES[name])
    plain = smooth(np.moveaxis(source.array, -1, 0)[None])[0]
    assert np.abs(target.read(whole(source.shape)) - 255 * np.moveaxis(plain, 0, -1)).max() <= 0.5 + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [0.5, 0.75])
def test_gaussian_windows_give_what_monai_gives_where_its_windows_lie_as_ours(overlap):
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    from monai.data.utils import compute_importance_map
    from monai.inferers import sliding_window_inference

    source, patch = float_volume((32, 40, 24)), (16, 16, 16)  # a whole number of steps along each axis
    target = empty_map(source.shape, 2)
    with PatchReader(source, Windows(patch, overlap=overlap).over(source.shape), 4) as reader:
        predict_map(reader, smooth, target, slope=SLOPES["gaussian"])
    weights = torch.from_numpy(blend_weights(patch, (0, 0, 0), slope=SLOPES["gaussian"]))
    theirs = compute_importance_map(patch, "gaussian", 0.125)
    np.testing.assert_allclose(weights.clamp(min=1e-3), theirs, rtol=1e-5)  # theirs have this floor
    found = sliding_window_inference(
        torch.from_numpy(np.moveaxis(source.array, -1, 0)[None]),
        patch,
        4,
        lambda patches: torch.from_numpy(smooth(patches.numpy())),
        overlap,
        roi_weight_map=weights,
    )
    apart = np.abs(target.read(whole(source.shape)) - 255 * np.moveaxis(found[0].numpy(), 0, -1))
    assert apart.max() <= 0.5 + 1e-3


def test_memory_of_a_prediction_does_not_follow_the_length_of_the_volume(tmp_path):
    peaks = []
    for slices in (64, 256):
        source = float_volume((slices, 96, 96))
        target = create_map(tmp_path / f"{slices}.zarr", source.shape, frame_of(source, ["a"]))
        grid = Windows((16, 48, 48), overlap=0.5).over(source.shape)
        tracemalloc.start()
        with PatchReader(source, grid, 1) as reader:
            predict_map(reader, identity, target, slope=SLOPES["gaussian"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
