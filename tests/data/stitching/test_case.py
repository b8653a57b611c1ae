import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from config import load_cfg
from data.cases import Case
from data.patches.grid import Windows, whole
from data.patches.scale import Scale
from data.sources.opening import build_reader
from data.sources.source import ArraySource, SourceError
from data.stitching.case import Inference, build_inference, build_windows, open_cases, predict_case
from data.stitching.stitcher import gaussian


def mean_of_channels(patches):
    return patches.astype(np.float32).mean(1, keepdims=True) / 255


def setting(*options, reduction=1.0):
    cfg = load_cfg(options=["TEST.PATCH", "128", "TEST.OVERLAP", "32", *options])
    return build_reader(cfg), build_inference(cfg, Scale(reduction))


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return Case(path.stem, path)


def pink_on_glass():
    """Glass of grey 240 with a block of pink tissue whose left edge is the border of a patch column."""
    pixels = np.full((64, 400, 3), 240, np.uint8)
    pixels[:, 200:] = (220, 120, 180)
    return pixels


def test_a_case_becomes_a_map_of_its_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    reader, inference = setting("TILES.MIN_TISSUE", "0")
    case = save(tmp_path / "a.png", pixels)
    found = predict_case(case, reader, inference, mean_of_channels, tmp_path / "a.zarr")
    means = pixels.astype(float).mean(-1)
    assert found.frame.classes == ("object",)
    assert np.abs(found.read(whole((100, 150)))[..., 0] - means).max() <= 0.5 + 1e-3


def test_objects_at_the_border_of_skipped_glass_keep_their_probability(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pink_on_glass(), photometric="rgb")
    reader, inference = setting()
    asked = []

    def predict(patches):
        asked.append(patches[:, 0].size)
        return np.full((len(patches), 1, *patches.shape[2:]), 0.8, np.float32)

    case = Case("a", tmp_path / "a.tif")
    found = predict_case(case, reader, inference, predict, tmp_path / "a.zarr").read(whole((64, 400)))
    assert (found[:, 200:] == 204).all()
    assert (found[:, :100] == 0).all()
    assert sum(asked) < 64 * 400


def test_a_slide_of_glass_asks_the_network_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((300, 300, 3), 240, np.uint8), photometric="rgb")
    reader, inference = setting()
    found = predict_case(Case("a", tmp_path / "a.tif"), reader, inference, pytest.fail, tmp_path / "a.zarr")
    assert not found.read(whole((300, 300))).any()


def test_min_tissue_zero_predicts_glass_too(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pink_on_glass(), photometric="rgb")
    reader, inference = setting("TILES.MIN_TISSUE", "0")
    found = predict_case(Case("a", tmp_path / "a.tif"), reader, inference, mean_of_channels, tmp_path / "a.zarr")
    assert (found.read(whole((64, 400)))[:, :200] == 240).all()


def test_a_grey_photograph_is_predicted_although_it_has_no_colour(tmp_path):
    """Training on pairs drops no patch for want of colour, so prediction must not either."""
    reader, inference = setting("DATASETS.LAYOUT", "pairs")
    case = save(tmp_path / "a.png", np.full((64, 64, 3), 102, np.uint8))
    found = predict_case(case, reader, inference, mean_of_channels, tmp_path / "a.zarr")
    assert (found.read(whole((64, 64))) == 102).all()


def test_patches_shrink_to_a_multiple_of_32_along_short_sides():
    inference = Inference(Scale(1.0), patch_px=512, overlap_px=64, batch_size=1)

    def sizes(*shape):
        return {box.size for box in inference.plan(ArraySource(np.zeros(shape, np.uint8)), None)}

    assert {size[1] for size in sizes(1000, 70, 3)} == {96}
    assert sizes(5, 512, 3) == {(32, 512)}
    assert {size[:2] for size in sizes(5, 40, 600, 1)} == {(32, 64)}


def test_cases_are_opened_in_order_and_the_next_one_while_the_last_is_in_use(tmp_path):
    reader, inference = setting("TILES.MIN_TISSUE", "0")
    cases = [save(tmp_path / f"{name}.png", np.full((40, 40, 3), 100, np.uint8)) for name in "abc"]
    opened, wait = [], threading.Event()
    open_image = reader.open_image
    noting = SimpleNamespace(classes=reader.classes, open_image=lambda case: opened.append(case.id) or open_image(case))
    seen = []
    for case, opening in open_cases(cases, noting, inference, tmp_path):
        with opening() as ready:
            wait.wait(0.1)
            seen.append((case.id, tuple(opened)))
            ready.predict(mean_of_channels, tmp_path / f"{case.id}.zarr")
    assert seen == [("a", ("a", "b")), ("b", ("a", "b", "c")), ("c", ("a", "b", "c"))]


def test_a_case_that_does_not_open_leaves_the_others_alone(tmp_path):
    reader, inference = setting("TILES.MIN_TISSUE", "0")
    cases = [save(tmp_path / f"{name}.png", np.full((40, 40, 3), 100, np.uint8)) for name in "abc"]
    cases[1].image.write_bytes(b"none")
    outcomes = []
    for case, opening in open_cases(cases, reader, inference, tmp_path):
        try:
            with opening():
                outcomes.append(case.id)
        except SourceError as error:
            outcomes.append(str(error)[:5])
    assert outcomes == ["a", "b.png", "c"]


def test_a_wrong_number_of_channels_is_told_and_leaves_nothing(tmp_path):
    reader, inference = setting()
    case = save(tmp_path / "grey.png", np.zeros((40, 40), np.uint8))
    with pytest.raises(SourceError, match=r"grey\.png has 1 channels; MODEL.IN_CHANNELS is 3"):
        predict_case(case, reader, inference, mean_of_channels, tmp_path / "grey.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["grey.png"]


def test_a_prediction_that_fails_leaves_nothing_under_the_maps_name(tmp_path):
    reader, inference = setting("TILES.MIN_TISSUE", "0")
    case = save(tmp_path / "a.png", np.zeros((400, 40, 3), np.uint8))
    calls = []

    def fail_late(patches):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("boom")
        return mean_of_channels(patches)

    with pytest.raises(ValueError, match="boom"):
        predict_case(case, reader, inference, fail_late, tmp_path / "out" / "a.zarr")
    assert list((tmp_path / "out").iterdir()) == []


def test_predicting_twice_replaces_the_map(tmp_path):
    reader, inference = setting("TILES.MIN_TISSUE", "0")
    case = save(tmp_path / "a.png", np.full((40, 40, 3), 100, np.uint8))
    predict_case(case, reader, inference, mean_of_channels, tmp_path / "a.zarr")
    again = predict_case(case, reader, inference, lambda p: 0 * mean_of_channels(p), tmp_path / "a.zarr")
    assert not again.read(whole((40, 40))).any()


def test_a_crop_is_predicted_alone_and_framed_in_the_whole_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    reader, inference = setting("TILES.MIN_TISSUE", "0", "DATASETS.CROP", "[10, 20, 33, 44]")
    found = predict_case(save(tmp_path / "a.png", pixels), reader, inference, mean_of_channels, tmp_path / "a.zarr")
    assert found.shape == (33, 44)
    on_image = found.on_image((60, 80)).read(whole((60, 80)))[..., 0]
    assert np.abs(on_image[10:43, 20:64] - pixels[10:43, 20:64].astype(float).mean(-1)).max() <= 0.5 + 1e-3
    assert np.count_nonzero(on_image) <= 33 * 44


def test_a_crop_of_another_aspect_comes_back_at_the_pixels_of_the_whole_image(tmp_path):
    rows, columns = np.mgrid[:101, :163]
    ellipse = ((rows - 40.5) / 19) ** 2 + ((columns - 77.25) / 31) ** 2 <= 1
    reader, _ = setting("DATASETS.LAYOUT", "pairs", "DATASETS.CROP", "[7, 21, 77, 125]", "MODEL.IN_CHANNELS", "1")
    inference = build_inference(load_cfg(), Scale(0.0, sides=(64, 160)))  # smaller along rows, larger along columns
    case = save(tmp_path / "a.png", (255 * ellipse).astype(np.uint8))
    found = predict_case(case, reader, inference, mean_of_channels, tmp_path / "a.zarr")
    assert found.shape == (64, 160)
    mask = found.on_image((101, 163)).read(whole((101, 163)))[..., 0] >= 128
    assert np.count_nonzero(mask != ellipse) < 0.02 * np.count_nonzero(ellipse)
    assert np.argwhere(mask).mean(0) == pytest.approx(np.argwhere(ellipse).mean(0), abs=0.05)
    np.testing.assert_array_equal(found.frame.shape_level0, (101, 163))


def test_volumes_are_predicted_by_windows_and_pictures_by_fitted_patches():
    assert setting()[1].windows is None
    assert setting("TEST.PATCHES", "[64, 96]")[1].windows == Windows((64, 96), (), 0.5)
    volumes = ["MODEL.AXES", "3", "INPUT.PATCH", "[16, 32, 32]", "TEST.OVERLAPS", "[4, 8, 8]", "TEST.BLEND", "gaussian"]
    assert setting(*volumes)[1].windows == Windows((16, 32, 32), (4, 8, 8), 0.5)
    assert setting(*volumes)[1].slope is gaussian
    assert setting("MODEL.AXES", "3")[1].windows == Windows()
    cfg = load_cfg(options=["MODEL.AXES", "3"])
    assert build_windows(cfg, (40, 64, 48)) == Windows((40, 64, 48))  # those of training, as the weights say
    assert (
        build_windows(load_cfg(options=["MODEL.AXES", "3", "TEST.PATCHES", "[8, 8, 8]"]), (40, 64, 48)).sides
        == (8,) * 3
    )


def test_fixed_windows_predict_a_picture_too(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    reader, inference = setting("TEST.PATCHES", "[64, 64]", "TEST.OVERLAP_SHARE", "0.25", "TEST.BLEND", "gaussian")
    found = predict_case(save(tmp_path / "a.png", pixels), reader, inference, mean_of_channels, tmp_path / "a.zarr")
    assert np.abs(found.read(whole((100, 150)))[..., 0] - pixels.astype(float).mean(-1)).max() <= 0.5 + 1e-3
