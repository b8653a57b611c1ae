import numpy as np
import pytest
import torch

from data.cases import Case, list_cases
from data.patches.build import build_dataloaders, build_folds, build_training_set
from data.patches.crops import Cropping, CropSample, list_crops
from data.patches.grid import Box
from data.patches.sampling import Content
from data.patches.scale import Scale
from data.patches.statistics import PixelStatistics
from data.patches.tiles import TileFolder
from data.patches.tissue import TissueRule
from data.sources import SourceError
from data.sources.kept_open import KeptOpen
from data.sources.opening import build_reader
from tests.data.patches.test_build import epochs, pairs_cfg, slides_cfg, training_set
from tests.slides import make_cfg, write_pyramid
from utils.failures import Failures
from utils.rle import encode_rle

SHAPE = (160, 128)


def ramp():
    """A picture whose colour says where a pixel lies: row, column, and foreground."""
    rows, columns = np.indices(SHAPE)
    mask = (np.hypot(rows - 50, columns - 70) < 9).astype(np.uint8)
    return np.stack([rows, columns, 250 * mask], -1).astype(np.uint8), mask


@pytest.fixture
def listed(tmp_path):
    image, mask = ramp()
    write_pyramid(tmp_path / "a.tif", image, levels=1)
    case = Case("a", tmp_path / "a.tif", {"object": encode_rle(mask)})
    reader, statistics = build_reader(make_cfg()), PixelStatistics()
    opened = KeptOpen(reader)
    folder = TileFolder(tmp_path, 32, Scale(1.0))
    samples, spacing_um = list_crops(case, reader, opened, folder, statistics)
    assert spacing_um == 0.5
    yield samples
    opened.close()


def place_of(pixels):
    """First row and column, from the colours."""
    return int(pixels[0, 0, 0]), int(pixels[0, 0, 1])


def crops(sample, count=200, jitter=0.0):
    return [Cropping(jitter)(sample, [7, 0, number]) for number in range(count)]


def test_a_grid_of_patches_is_listed_with_what_they_hold(listed):
    assert len(listed) == 5 * 4
    assert [sample.name for sample in listed[:2]] == ["a_0", "a_1"]
    assert sum(sample.content.area for sample in listed) == ramp()[1].sum()
    assert listed[0].reach_px == (16, 16)


def test_crops_lie_about_their_patch_evenly_and_inside_the_image(listed):
    sample = listed[9]  # rows 64 to 96, columns 32 to 64
    assert sample.box == Box((64, 32), (32, 32))
    assert sample.content.area == 0
    places = np.array([place_of(pixels) for pixels, _ in crops(sample, 400)])
    assert places.min(0).tolist() == [48, 16]
    assert places.max(0).tolist() == [80, 48]
    np.testing.assert_allclose(places.mean(0), [64, 32], atol=1.5)
    corner = np.array([place_of(pixels) for pixels, _ in crops(listed[0])])
    assert corner.min() == 0
    last = np.array([place_of(pixels) for pixels, _ in crops(listed[-1])])
    assert last.max(0).tolist() == [128, 96]


def test_image_and_labels_of_a_crop_are_of_the_same_place(listed):
    for sample in listed:
        for pixels, mask in crops(sample, 5):
            assert pixels.shape == (32, 32, 3)
            np.testing.assert_array_equal(mask == 1, pixels[..., 2] > 125)


def test_crops_about_foreground_hold_some(listed):
    held = [sample for sample in listed if sample.content.area]
    found = [(mask == 1).any() for sample in held for _, mask in crops(sample, 40)]
    assert np.mean(found) > 0.9


def test_scale_jitter_shows_up_to_so_much_more_or_less(listed):
    sample = listed[9]
    spans = [float(pixels[-1, 0, 0]) - pixels[0, 0, 0] for pixels, _ in crops(sample, jitter=0.5)]
    assert min(spans) == pytest.approx(31 / 1.5, abs=1)
    assert max(spans) == pytest.approx(31 * 1.5, abs=1)
    assert np.mean(np.array(spans) > 31) == pytest.approx(0.5, abs=0.12)  # larger as often as smaller
    for pixels, mask in crops(listed[5], 40, jitter=0.5):
        assert np.mean((mask == 1) == (pixels[..., 2] > 125)) > 0.98


def test_a_crop_of_an_image_smaller_than_a_patch_stays_where_it_is():
    sample = CropSample("a", Case("a", None), Box((0, 0), (32, 32)), (20, 40), None, (0.0, 4.0), Content())
    chance = np.random.default_rng(0)
    for _ in range(50):
        crop = sample.crop(0.2, chance)
        assert crop.box.start[0] == 0
        assert 0 <= crop.box.start[1] <= crop.shape[1] - 32


def test_a_case_that_cannot_be_read_adds_nothing(tmp_path):
    statistics, reader = PixelStatistics(), build_reader(make_cfg())
    write_pyramid(tmp_path / "a.tif", ramp()[0], levels=1)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-2000])
    folder = TileFolder(tmp_path, 32, Scale(1.0), tissue=TissueRule())
    with pytest.raises(SourceError, match=r"a\.tif"):
        list_crops(Case("a", tmp_path / "a.tif", {}), reader, KeptOpen(reader), folder, statistics)
    assert statistics.count == 0


def same(cfg, *options):
    other = cfg.clone()
    other.defrost()
    other.merge_from_list(list(options))
    return other


def test_crops_need_no_tiles_and_are_validated_on_the_very_tiles(tmp_path):
    cfg = slides_cfg(tmp_path, SOLVER_NUM_WORKERS=0, SOLVER_N_FOLDS=2, SOLVER_BATCH_SIZE=4)
    data, fold_of = training_set(cfg)
    tiles = torch.cat([images for images, _ in build_dataloaders(cfg, data, fold_of, 0).valid])
    crops_cfg = same(cfg, "INPUT.FROM", "crops", "DATASETS.TRAIN_FOLDER", str(tmp_path / "nowhere"))
    found, folds = training_set(crops_cfg)
    assert (found.mean, found.std, found.foreground) == (data.mean, data.std, pytest.approx(data.foreground))
    assert folds == fold_of
    assert found.spacing_um == pytest.approx(1.0)
    loaders = build_dataloaders(crops_cfg, found, fold_of, 0)
    assert torch.equal(torch.cat([images for images, _ in loaders.valid]), tiles)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("make", [pairs_cfg, slides_cfg])
def test_any_number_of_workers_draws_the_same_crops_and_another_epoch_others(tmp_path, make):
    cfg = make(tmp_path, INPUT_FROM="tiles", SOLVER_EPOCH_PATCHES=20, SOLVER_SAMPLING="foreground")
    found = []
    for workers in (0, 2):
        own = same(cfg, "INPUT.FROM", "crops", "INPUT.CROP_SCALE", 0.3, "SOLVER.NUM_WORKERS", workers)
        own = same(own, "SOLVER.BATCH_SIZE", 5, "SOLVER.N_FOLDS", 2)
        found.append(epochs(own, *training_set(own)))
    for alone, helped in zip(*found, strict=True):
        assert len(alone) == len(helped) == 4
        for batch, other in zip(alone, helped, strict=True):
            assert torch.equal(batch[0], other[0])
            assert torch.equal(batch[1], other[1])
    assert not torch.equal(found[0][0][0][0], found[0][1][0][0])


def test_a_damaged_slide_is_a_failure_and_the_others_go_on(tmp_path):
    cfg = same(slides_cfg(tmp_path), "INPUT.FROM", "crops", "SOLVER.N_FOLDS", 2)
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    cases, failures = list_cases(cfg).cases, Failures()
    data = build_training_set(cfg, cases, failures)
    assert [row.id for row in failures.rows] == ["b"]
    assert data.case_ids == {"a", "c", "d"}
    assert build_folds(cfg, [case for case in cases if case.id != "b"], data)
