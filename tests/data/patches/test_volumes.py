import numpy as np
import pytest

import data.patches.volumes as volumes
from data.patches.build import NothingToLearnError, build_dataloaders, build_training_set
from data.patches.volumes import centred_box, common_size
from data.sources.labels import IGNORE
from tests.slides import make_cfg
from tests.small_volumes import Volumes, ball, case_of, intensities
from utils.failures import Failures

SHAPES = {"a": (9, 16, 20), "b": (12, 14, 17), "c": (7, 17, 16)}


def cfg_of(**options):
    basis = {"MODEL_AXES": 3, "DATASETS_CLASSES": ["a", "b"], "TILES_REDUCTION": 1.0, "SOLVER_NUM_WORKERS": 0}
    few = {"AUGMENTATION_SET": "none", "AUGMENTATION_FLIP": 0.5, "SOLVER_BATCH_SIZE": 2, "MODEL_IN_CHANNELS": 1}
    return make_cfg(**{**basis, **few, **options})


@pytest.fixture
def reader(monkeypatch):
    """Three volumes in place of what the config's paths hold."""
    pairs = {
        name: (intensities(*shape, seed=seed), np.maximum(ball(shape, (4, 5, 6), 2), ball(shape, (4, 12, 6), 1, 2)))
        for seed, (name, shape) in enumerate(SHAPES.items())
    }
    own = Volumes(pairs)
    monkeypatch.setattr(volumes, "build_reader", lambda cfg: own)
    return own


def learn(cfg, failures=None, names=tuple(SHAPES)):
    return build_training_set(cfg, [case_of(name) for name in names], failures or Failures())


def test_whole_volumes_have_the_largest_shape_rounded_up_and_their_middles_meet(reader):
    data = learn(cfg_of(INPUT_FROM="whole"))
    assert [sample.name for sample in data.samples] == ["a_0", "b_0", "c_0"]
    for sample in data.samples:
        image, mask = sample.read()
        whole_image, whole_mask = reader.pairs[sample.case_id]
        assert image.shape == (16, 24, 24, 1)
        before = [-((n - wide) // 2) for wide, n in zip(mask.shape, whole_mask.shape, strict=True)]
        inside = tuple(slice(a, a + n) for a, n in zip(before, whole_mask.shape, strict=True))
        np.testing.assert_array_equal(image[inside], whole_image)
        np.testing.assert_array_equal(mask[inside], whole_mask)
        assert (mask == IGNORE).sum() == mask.size - whole_mask.size


def test_whole_volumes_are_cropped_about_their_middle_where_a_patch_is_smaller(reader):
    data = learn(cfg_of(INPUT_FROM="whole", INPUT_PATCH=[8, 8, 24]))
    image, mask = data.samples[0].read()
    np.testing.assert_array_equal(image[:, :, 2:22], reader.pairs["a"][0][0:8, 4:12])
    assert (mask[:, :, 2:22] != IGNORE).all()


def test_a_grid_over_volumes_covers_every_voxel(reader):
    data = learn(cfg_of(INPUT_PATCH=[8, 8, 16], TILES_OVERLAP=2))
    for name, shape in SHAPES.items():
        seen = np.zeros(shape, bool)
        for sample in data.of({name}):
            seen[sample.box.within(shape).slices] = True
        assert seen.all()


def test_crops_are_drawn_to_learn_and_a_grid_is_validated_on(reader):
    cfg = cfg_of(INPUT_FROM="crops", INPUT_PATCH=[8, 8, 8], SOLVER_SAMPLING="posneg", INPUT_PATCHES_PER_CASE=3)
    data = learn(cfg)
    dls = build_dataloaders(cfg, data, {"a": 0, "b": 0, "c": 1}, 1)
    assert len(dls.train.dataset) == 2 * 3
    assert {sample.case_id for sample in dls.train.dataset.samples} == {"a", "b"}
    assert len(dls.valid.dataset) == len(data.of({"c"})) == 1 * 3 * 2
    images, targets = next(iter(dls.train))
    assert (images.shape, targets.shape) == ((2, 1, 8, 8, 8), (2, 2, 8, 8, 8))
    cfg = cfg_of(INPUT_FROM="crops", INPUT_PATCH=[8, 8, 8], SOLVER_SAMPLING="label", SOLVER_EPOCH_PATCHES=5)
    assert len(build_dataloaders(cfg, data, {"a": 0, "b": 0, "c": 1}, 1).train.dataset) == 5


def first_epoch(cfg, workers):
    cfg = cfg.clone()
    cfg.defrost()
    cfg.SOLVER.NUM_WORKERS = workers
    dls = build_dataloaders(cfg, learn(cfg), {"a": 0, "b": 0, "c": 1}, 1)
    return list(dls.train)


def test_any_number_of_workers_gives_the_same_crops(reader):
    kinds = {"AUGMENTATION_AFFINE": 0.5, "AUGMENTATION_NOISE": 0.5, "AUGMENTATION_ROTATE90": 0.5}
    cfg = cfg_of(INPUT_FROM="crops", INPUT_PATCH=[8, 8, 8], SOLVER_SAMPLING="label", INPUT_PATCHES_PER_CASE=4, **kinds)
    alone, shared = first_epoch(cfg, 0), first_epoch(cfg, 2)
    assert len(alone) == len(shared) == 4
    for batch, other in zip(alone, shared, strict=True):
        assert all(values.equal(same) for values, same in zip(batch, other, strict=True))


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
def test_small_volumes_are_opened_once_and_any_cache_gives_the_same(reader, tmp_path, cache):
    cfg = cfg_of(INPUT_FROM="whole", SOLVER_CACHE=cache).clone()
    cfg.defrost()
    cfg.OUTPUT_DIR = str(tmp_path)
    data = learn(cfg)
    for sample in data.samples * 2:
        image, _ = sample.read()
        assert np.isin(reader.pairs[sample.case_id][0], image).all()
    assert reader.opened == list(SHAPES)


def test_mean_std_and_foreground_are_those_of_the_volumes(reader):
    data = learn(cfg_of(INPUT_FROM="whole"))
    every = np.concatenate([image.ravel() for image, _ in reader.pairs.values()]) / 255
    np.testing.assert_allclose([*data.mean, *data.std], [every.mean(), every.std()], atol=2e-5)
    assert data.foreground == {name: float((mask > 0).sum()) for name, (_, mask) in reader.pairs.items()}


def test_a_damaged_volume_is_a_failure_and_the_others_are_used(reader):
    reader.pairs["b"], failures = None, Failures()
    data = learn(cfg_of(INPUT_FROM="whole"), failures)
    assert data.case_ids == {"a", "c"}
    assert [row.id for row in failures.rows] == ["b"]
    assert data.samples[0].box.size == (16, 24, 24)
    with pytest.raises(NothingToLearnError):
        learn(cfg_of(INPUT_FROM="whole"), Failures(), names=["b"])


def test_volumes_may_be_drawn_more_often_for_what_they_hold(reader):
    data = learn(cfg_of(INPUT_FROM="whole", SOLVER_SAMPLING="foreground"))
    assert set(data.contents) == {"a_0", "b_0", "c_0"}


def test_boxes_by_hand():
    assert common_size([(9, 16, 20), (12, 14, 25)]) == (16, 16, 32)
    assert centred_box((9, 16), (16, 8)).start == (-4, 4)
