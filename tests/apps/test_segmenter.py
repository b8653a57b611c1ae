from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

import test_net
from apps.segmenter import as_trained, build_segmenter, load_app_cfg
from config import ConfigError, load_cfg
from data.sources import SourceError
from data.sources.source import TooLargeError
from tests.data.sources.test_dicom import write_dicom
from tests.pictures import CARD, draw_disc, save_disc, save_weights


@pytest.fixture
def weights(tmp_path):
    return save_weights(tmp_path / "weights")


def segmenter_of(weights, *options, threshold=0.0):
    return build_segmenter(load_app_cfg(weights, threshold, options=options))


def predicted_by_test_net(folder, weights, *options):
    """The mask that test_net.py writes of each picture of a folder, by its id."""
    words = ["DATASETS.LAYOUT", "pairs", "DATASETS.IMAGES", "{name}.*", "DATASETS.MASKS", "", "TEST.WSI_FOLDER",
             str(folder), "TEST.MODEL_WEIGHTS_FOLDER", str(weights), "TEST.OUTPUT_DIR", str(weights / "out"),
             "TEST.PATCH", "96", "TEST.OVERLAP", "32"]  # fmt: skip
    assert test_net.main([*words, *options]) == 0
    return {path.stem: tifffile.imread(path) for path in sorted((weights / "out" / "masks").iterdir())}


@pytest.mark.parametrize("options", [[], ["TEST.TTA", "flips", "TEST.TH_LOW", "0.3", "TEST.MIN_OBJECT", "9"]])
def test_masks_are_those_of_test_net(options, weights, tmp_path):
    (tmp_path / "in").mkdir()
    save_disc(tmp_path / "in" / "a.png", (91, 133))
    save_disc(tmp_path / "in" / "b.jpg", (300, 210), centre=(0.3, 0.6), seed=1)
    expected = predicted_by_test_net(tmp_path / "in", weights.parent, *options)
    segmenter = segmenter_of(weights, *options)
    for path in sorted((tmp_path / "in").iterdir()):
        with segmenter(path) as found:
            np.testing.assert_array_equal(found.mask(), expected[path.stem])
            assert found.mask().any()


def test_mask_and_overlay_have_the_size_of_the_picture(weights, tmp_path):
    pixels = save_disc(tmp_path / "a.png", (91, 133))
    with segmenter_of(weights)(tmp_path / "a.png") as found:
        assert found.shape == (91, 133)
        assert found.classes == ("disc",)
        np.testing.assert_array_equal(found.picture, pixels)
        mask, overlay = found.mask(), found.overlay()
    assert (mask.shape, mask.dtype) == ((91, 133), np.uint8)
    assert (overlay.shape, overlay.dtype) == ((91, 133, 3), np.uint8)
    disc = draw_disc((91, 133), seed=0).mean(-1) > 128
    assert (mask == disc).mean() > 0.98
    np.testing.assert_array_equal(overlay[0, 0], pixels[0, 0])
    assert (overlay[45, 66] != pixels[45, 66]).any()


def test_another_threshold_needs_no_network(weights, tmp_path):
    save_disc(tmp_path / "a.png")
    calls = []
    segmenter = segmenter_of(weights)
    counting = replace(segmenter, predictor=lambda patches: calls.append(1) or segmenter.predictor(patches))
    with counting(tmp_path / "a.png") as found:
        begun = len(calls)
        masks = [found.mask(threshold) for threshold in (0.05, 0.5, 0.99)]
        np.testing.assert_array_equal(masks[1], found.mask())
    assert len(calls) == begun > 0
    assert masks[0].all()
    assert not masks[2].any()


def test_a_threshold_of_the_caller_goes_before_the_tuned_one(weights, tmp_path):
    save_disc(tmp_path / "a.png")
    with segmenter_of(weights, threshold=0.99)(tmp_path / "a.png") as found:
        assert not found.mask().any()


def test_a_small_mask_is_asked_for_by_its_longest_side(weights, tmp_path):
    save_disc(tmp_path / "a.png", (90, 180))
    with segmenter_of(weights)(tmp_path / "a.png") as found:
        assert found.mask(longest_px=60).shape == (30, 60)


def test_scratch_files_are_gone_in_the_end_and_after_an_error(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    save_disc(tmp_path / "a.png")
    with segmenter_of(weights)(tmp_path / "a.png") as found:
        assert list((tmp_path / "scratch").iterdir())
        found.mask(0.3)
    assert not list((tmp_path / "scratch").iterdir())
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:9000])
    with pytest.raises(SourceError, match=r"a\.png is damaged"):
        segmenter_of(weights)(tmp_path / "a.png")
    assert not list((tmp_path / "scratch").iterdir())


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(weights, tmp_path):
    save_disc(tmp_path / "a.png", (100, 210))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:9000])  # its pixels would not decode
    with pytest.raises(TooLargeError, match=r"a\.png has 0\.021 megapixels; at most 0\.02, see SERVE\.MEGAPIXELS"):
        segmenter_of(weights, "SERVE.MEGAPIXELS", "0.02")(tmp_path / "a.png")


def test_a_picture_so_thin_that_its_patches_are_mostly_margin_is_refused(weights, tmp_path):
    Image.fromarray(np.zeros((1, 30_000, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(
        TooLargeError, match=r"a\.png of 1 x 15000 pixels takes patches of 1\.44 megapixels; at most 1,"
    ):
        segmenter_of(weights, "SERVE.MEGAPIXELS", "1")(tmp_path / "a.png")


def test_tiles_larger_than_the_limit_are_refused(weights, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16, 3), np.uint8), photometric="rgb", tile=(1024, 1024))
    with pytest.raises(TooLargeError, match=r"1\.05 megapixels"):
        segmenter_of(weights, "SERVE.MEGAPIXELS", "1")(tmp_path / "a.tif")


def test_a_picture_that_becomes_too_large_at_the_scale_of_the_network_is_refused(tmp_path):
    card = replace(CARD, reduction=0.0, spacing_um=100.0)
    write_dicom(tmp_path / "a.dcm", draw_disc((100, 100)), PixelSpacing=[0.3, 0.3])
    weights = save_weights(tmp_path / "weights", card)
    with pytest.raises(TooLargeError, match=r"0\.09 megapixels"):
        segmenter_of(weights, "SERVE.MEGAPIXELS", "0.05")(tmp_path / "a.dcm")


def test_grey_dicom_tiff_and_jpeg_are_read(tmp_path):
    weights = save_weights(tmp_path / "weights", replace(CARD, in_channels=1, mean=(0.0,), std=(1.0,)))
    segmenter, pixels = segmenter_of(weights), draw_disc((64, 80), channels=1)
    write_dicom(tmp_path / "1.2.840.7", pixels)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    masks = []
    for name in ("1.2.840.7", "a.tif", "a.png"):
        with segmenter(tmp_path / name) as found:
            masks.append(found.mask())
            assert found.picture.shape == (64, 80, 3)
    np.testing.assert_array_equal(masks[0], masks[2])
    np.testing.assert_array_equal(masks[1], masks[2])


def test_a_picture_of_other_channels_is_refused_by_name(weights, tmp_path):
    save_disc(tmp_path / "a.png", channels=1)
    with pytest.raises(SourceError, match=r"a\.png has 1 channels; MODEL\.IN_CHANNELS is 3"):
        segmenter_of(weights)(tmp_path / "a.png")


def test_prediction_is_as_the_training_run_had_it_unless_the_caller_says_otherwise():
    card = replace(CARD, config="DATASETS: {LAYOUT: pairs, CROP: [1, 2, 3, 4]}\nTILES: {TISSUE: otsu, OVERLAP: 9}\n"
                                "TEST: {TTA: flips, PATCH: 96, TH: 0.9}\nGONE: {OPTION: 1}\n")  # fmt: skip
    cfg = as_trained(load_cfg(options=["TEST.PATCH", "320"]), card)
    assert (cfg.DATASETS.LAYOUT, cfg.DATASETS.CROP, cfg.TILES.TISSUE) == ("pairs", [1, 2, 3, 4], "otsu")
    assert (cfg.TEST.TTA, cfg.TEST.PATCH, cfg.TEST.TH, cfg.TILES.OVERLAP) == ("flips", 320, 0.0, 0)
    assert as_trained(load_cfg(), replace(card, config="")) == load_cfg()


def test_masks_are_cleaned_as_the_training_run_had_it(tmp_path):
    config = "TEST: {MIN_OBJECT: 99999, MAX_HOLE: 7, LARGEST: true, TH: 0.9}\n"
    weights = save_weights(tmp_path / "weights", replace(CARD, config=config))
    save_disc(tmp_path / "a.png")
    rule = segmenter_of(weights).rule
    assert (rule.min_object_px, rule.max_hole_px, rule.largest) == (99999, 7, True)
    assert rule.threshold == CARD.threshold  # which was tuned after the config was written
    with (
        segmenter_of(weights)(tmp_path / "a.png") as cleaned,
        segmenter_of(weights, "TEST.MIN_OBJECT", "5")(tmp_path / "a.png") as kept,
    ):
        assert not cleaned.mask().any()
        assert kept.mask().any()


def test_all_mistakes_of_an_app_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_app_cfg(tmp_path / "gone", 2.0, options=["TEST.TTA", "all"])
    assert [part in str(caught.value) for part in ("gone", "TEST.TH is 2.0", "TEST.TTA")] == [True] * 3


def test_weights_without_a_threshold_say_what_to_do(tmp_path):
    weights = save_weights(tmp_path, replace(CARD, threshold=None))
    with pytest.raises(ConfigError, match=r"set TEST\.TH"):
        segmenter_of(weights)
    assert segmenter_of(weights, threshold=0.5).rule.threshold == 0.5
