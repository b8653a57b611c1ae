import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from data.cases import Case, list_cases
from data.patches.build import build_dataloaders, build_folds, build_training_set, worker_count
from data.patches.folds import NEVER
from data.patches.statistics import PixelStatistics
from data.patches.tiles import build_tile_folder, cut_case, describe_set, finish_tiles, start_tiles
from data.patches.training_set import TrainingSet
from data.sources.opening import build_reader
from tests.slides import make_cfg, noise, write_labels_csv, write_pyramid
from utils.failures import Failures

NAMES = ["a", "b", "c", "d"]


def pairs_cfg(tmp_path, **options):
    for number, name in enumerate(NAMES):
        for folder, array in (("images", noise(64, 96, 3, seed=number)), ("masks", noise(64, 96, seed=number) % 2)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / folder / f"{name}.png")
    basis = {"DATASETS_LAYOUT": "pairs", "DATASETS_WSI_FOLDER": str(tmp_path), "SOLVER_NUM_WORKERS": 0}
    sizes = {"INPUT_SIZE_TRAIN": 32, "TILES_REDUCTION": 1.0, "SOLVER_N_FOLDS": 2, "SOLVER_BATCH_SIZE": 5}
    return make_cfg(**{**basis, **sizes, **options})


def slides_cfg(tmp_path, **options):
    masks = {name: noise(96, 96, seed=number) % 2 for number, name in enumerate(NAMES)}
    for number, name in enumerate(NAMES):
        write_pyramid(tmp_path / f"{name}.tif", noise(96, 96, 3, seed=number), levels=2)
    write_labels_csv(tmp_path / "labels.csv", masks)
    paths = {"DATASETS_WSI_FOLDER": str(tmp_path), "DATASETS_TRAIN_FOLDER": str(tmp_path / "train")}
    cfg = make_cfg(
        DATASETS_LABELS_CSV=str(tmp_path / "labels.csv"), INPUT_SIZE_TRAIN=32, TILES_REDUCTION=2.0, **paths, **options
    )
    folder, statistics, rows = build_tile_folder(cfg), PixelStatistics(), []
    start_tiles(folder)
    for case in list_cases(cfg).cases:
        rows += cut_case(case, build_reader(cfg), folder, statistics)[0]
    finish_tiles(folder, rows, describe_set(folder, ["object"], statistics, dict.fromkeys(NAMES, 1.0)))
    return cfg


def training_set(cfg):
    cases, failures = list_cases(cfg).cases, Failures()
    data = build_training_set(cfg, cases, failures)
    assert not failures.rows
    return data, build_folds(cfg, cases, data)


def test_pairs_give_patches_with_their_mean_and_std(tmp_path):
    data, _ = training_set(pairs_cfg(tmp_path))
    assert len(data.samples) == 4 * 6
    every = np.stack([noise(64, 96, 3, seed=number) for number in range(4)]) / 255
    np.testing.assert_allclose(data.mean, every.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(data.std, every.std((0, 1, 2)), atol=1e-5)


def test_slides_give_their_tiles_with_the_card_s_mean_and_pixel_size(tmp_path):
    cfg = slides_cfg(tmp_path)
    data, _ = training_set(cfg)
    assert {sample.case_id for sample in data.samples} == set(NAMES)
    assert len(data.samples) == 4 * 4
    assert data.spacing_um == 1.0
    assert len(data.mean) == len(data.std) == 3


def test_the_config_s_mean_and_std_count_before_those_of_the_data(tmp_path):
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    data, _ = training_set(pairs_cfg(tmp_path, INPUT_MEAN=mean, INPUT_STD=std))
    assert (data.mean, data.std) == (mean, std)


def test_tiles_of_other_classes_are_refused(tmp_path):
    cfg = slides_cfg(tmp_path).clone()
    cfg.defrost()
    cfg.DATASETS.CLASSES = ["other"]
    with pytest.raises(ValueError, match=r"tiles\.json has classes \['object'\], the config \['other'\]"):
        build_training_set(cfg, list_cases(slides_cfg(tmp_path)).cases, Failures())


def test_a_bad_pair_is_a_failure_and_the_others_are_used(tmp_path):
    cfg, failures = pairs_cfg(tmp_path), Failures()
    (tmp_path / "images/b.png").write_bytes(b"no picture")
    Image.fromarray(noise(20, 20) % 2).save(tmp_path / "masks/c.png")
    data = build_training_set(cfg, list_cases(cfg).cases, failures)
    assert {sample.case_id for sample in data.samples} == {"a", "d"}
    assert [(row.id, row.file) for row in failures.rows] == [("b", "b.png"), ("c", "c.png")]


def test_nothing_to_learn_from_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to learn from"):
        build_training_set(pairs_cfg(tmp_path), [], Failures())


def test_folds_follow_the_config(tmp_path):
    cfg = pairs_cfg(tmp_path, DATASETS_FOLD_GROUPS=[["a", "b", "c"], ["d"]])
    assert training_set(cfg)[1] == {"a": 0, "b": 0, "c": 0, "d": 1}


def test_the_area_of_objects_is_known_by_case_for_pairs_and_for_slides(tmp_path):
    (tmp_path / "slides").mkdir()
    for cfg, cells in ((pairs_cfg(tmp_path), 64 * 96), (slides_cfg(tmp_path / "slides"), 4 * 32 * 32)):
        data, _ = training_set(cfg)
        assert data.foreground.keys() == set(NAMES)
        for area in data.foreground.values():
            assert 0.4 * cells < area < 0.8 * cells


def test_a_fold_without_cases_is_an_error_before_anything_slow(tmp_path):
    cfg = pairs_cfg(tmp_path, DATASETS_FOLD_GROUPS=[["a", "b", "c", "d"], ["e"]], SOLVER_FOLDS=[1])
    with pytest.raises(ValueError, match="fold 1 has no validation cases"):
        training_set(cfg)
    cfg = pairs_cfg(tmp_path, DATASETS_FOLD_GROUPS=[["a", "b", "c", "d"], ["e"]], SOLVER_FOLDS=[0])
    with pytest.raises(ValueError, match="fold 0 has no training cases"):
        training_set(cfg)


def with_ids(tmp_path, rows, **options):
    (tmp_path / "ids.csv").write_text("id,split\n" + rows)
    return pairs_cfg(tmp_path, DATASETS_ID_CSV=str(tmp_path / "ids.csv"), **options)


def test_a_fixed_split_is_one_fold_that_learns_from_train_and_validates_valid(tmp_path, chance):
    cfg = with_ids(tmp_path, "a,train\nb,valid\nc,\nd,test\n")
    data, fold_of = training_set(cfg)
    assert fold_of == {"a": NEVER, "b": 0, "c": NEVER}
    dls = build_dataloaders(cfg, data, fold_of, 0)
    sides = [{sample.case_id for sample in side.dataset.samples} for side in (dls.train, dls.valid)]
    assert sides == [{"a", "c"}, {"b"}]


def test_a_fixed_split_without_a_usable_case_to_validate_is_an_error(tmp_path):
    cfg = with_ids(tmp_path, "a,train\nb,valid\nc,train\nd,train\n")
    (tmp_path / "images/b.png").write_bytes(b"no picture")
    cases, failures = list_cases(cfg).cases, Failures()
    data = build_training_set(cfg, cases, failures)
    with pytest.raises(ValueError, match="fold 0 has no validation cases"):
        build_folds(cfg, [case for case in cases if case.id in data.case_ids], data)


def test_a_fixed_split_and_groups_by_fold_contradict_each_other(tmp_path):
    cfg = with_ids(tmp_path, "a,train\nb,valid\n", DATASETS_FOLD_GROUPS=[["a"], ["b"]])
    with pytest.raises(ValueError, match=r"has the split 'valid'; then leave DATASETS\.FOLD_GROUPS empty"):
        training_set(cfg)


def test_the_folds_of_another_run_go_before_all_else(tmp_path):
    (tmp_path / "folds.csv").write_text("id,group,fold\na,a,1\nb,b,0\nc,c,\nd,d,1\n")
    options = {"DATASETS_FOLDS_CSV": str(tmp_path / "folds.csv"), "DATASETS_FOLD_GROUPS": [["a", "b"], ["c", "d"]]}
    assert training_set(pairs_cfg(tmp_path, **options))[1] == {"a": 1, "b": 0, "c": NEVER, "d": 1}


@pytest.fixture
def chance():
    state, torch_state = random.getstate(), torch.get_rng_state()
    yield
    random.setstate(state)
    torch.set_rng_state(torch_state)


def epochs(cfg, data, fold_of, fold=0, count=2):
    """Training batches of some epochs from one seed."""
    random.seed(1)
    torch.manual_seed(1)
    dls = build_dataloaders(cfg, data, fold_of, fold)
    found = []
    for epoch in range(count):
        dls.train.dataset.epoch = epoch
        found.append([(image.clone(), target.clone()) for image, target in dls.train])
    return found


def test_batches_have_the_shape_and_type_that_a_network_takes(tmp_path, chance):
    cfg = pairs_cfg(tmp_path)
    data, fold_of = training_set(cfg)
    dls = build_dataloaders(cfg, data, fold_of, 0)
    batches = list(dls.train)
    assert [tuple(image.shape) for image, _ in batches] == [(5, 3, 32, 32)] * 2  # 12 patches, the last 2 dropped
    assert [tuple(target.shape) for _, target in batches] == [(5, 1, 32, 32)] * 2
    assert batches[0][0].dtype == torch.float32
    assert batches[0][1].dtype == torch.uint8
    assert sum(len(image) for image, _ in dls.valid) == 12


def test_no_case_is_on_both_sides_and_every_case_is_validated_once(tmp_path, chance):
    cfg = pairs_cfg(tmp_path)
    data, fold_of = training_set(cfg)
    validated = []
    for fold in range(2):
        dls = build_dataloaders(cfg, data, fold_of, fold)
        sides = [{sample.case_id for sample in side.dataset.samples} for side in (dls.train, dls.valid)]
        assert not sides[0] & sides[1]
        assert sides[0] | sides[1] == set(NAMES)
        validated += sides[1]
    assert sorted(validated) == NAMES


def test_validation_is_neither_shuffled_nor_augmented(tmp_path, chance):
    cfg = pairs_cfg(tmp_path)
    data, fold_of = training_set(cfg)
    dls = build_dataloaders(cfg, data, fold_of, 0)
    images = torch.cat([image for image, _ in dls.valid])
    for image, sample in zip(images, dls.valid.dataset.samples, strict=True):
        plain = (sample.read()[0] / 255 - np.array(data.mean)) / np.array(data.std)
        np.testing.assert_allclose(image.numpy(), np.moveaxis(plain, -1, 0), atol=1e-4)


def test_any_number_of_workers_gives_the_same_batches(tmp_path, chance):
    found = []
    for workers in (0, 2):
        cfg = pairs_cfg(tmp_path, SOLVER_NUM_WORKERS=workers)
        found.append(epochs(cfg, *training_set(cfg)))
    for alone, helped in zip(*found, strict=True):
        assert len(alone) == len(helped) == 2
        for batch, other in zip(alone, helped, strict=True):
            assert torch.equal(batch[0], other[0])
            assert torch.equal(batch[1], other[1])


def test_another_epoch_augments_otherwise(tmp_path, chance):
    cfg = pairs_cfg(tmp_path)
    data, fold_of = training_set(cfg)
    dataset = build_dataloaders(cfg, data, fold_of, 0).train.dataset
    first = [dataset[place][0] for place in range(6)]
    dataset.epoch = 1
    assert sum(not torch.equal(dataset[place][0], image) for place, image in enumerate(first)) >= 5
    dataset.epoch = 0
    assert all(torch.equal(dataset[place][0], image) for place, image in enumerate(first))


def test_fewer_patches_than_a_batch_still_make_one(tmp_path, chance):
    cfg = pairs_cfg(tmp_path, SOLVER_BATCH_SIZE=1000)
    (batch,) = build_dataloaders(cfg, *training_set(cfg), 0).train
    assert len(batch[0]) == 12


def test_samples_of_some_cases_keep_their_order(tmp_path):
    data, _ = training_set(pairs_cfg(tmp_path))
    assert [sample.case_id for sample in data.of({"d", "a"})] == ["a"] * 6 + ["d"] * 6
    assert TrainingSet([], [], []).of({"a"}) == []


def test_a_slide_of_glass_has_no_samples_but_a_fold_and_one_that_was_not_cut_is_a_failure(tmp_path):
    cfg = slides_cfg(tmp_path)
    write_pyramid(tmp_path / "e.tif", noise(96, 96, 3), levels=2)
    cases = [*list_cases(cfg).cases, Case("e", tmp_path / "e.tif", {}, "e"), Case("f", tmp_path / "f.tif", {}, "f")]
    card = build_tile_folder(cfg).card
    card.write_text(card.read_text().replace('"d"', '"d", "e"'))
    failures = Failures()
    data = build_training_set(cfg, cases, failures)
    assert data.case_ids == {*NAMES, "e"}
    assert [row.id for row in failures.rows] == ["f"]
    folds = build_folds(cfg, cases[:-1], data)
    assert folds["e"] == 0
    assert sorted(folds[name] for name in NAMES) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["foreground", "object_size", "area"])
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_sampling_favours_patches_of_pairs_by_their_masks(tmp_path, name, cache):
    cfg = pairs_cfg(tmp_path, SOLVER_SAMPLING=name, SOLVER_CACHE=cache, SOLVER_EPOCH_PATCHES=30)
    mask = np.zeros((64, 96), np.uint8)
    mask[40:50, 40:50] = 1
    for each in NAMES:
        Image.fromarray(mask).save(tmp_path / "masks" / f"{each}.png")
    data, fold_of = training_set(cfg)
    loader = build_dataloaders(cfg, data, fold_of, 0).train
    assert len(loader) == 6
    targets = torch.cat([target for _, target in loader])
    share = float(targets.flatten(1).eq(1).any(1).float().mean())
    assert share == pytest.approx(0.5 if name == "foreground" else 0.5 + 0.5 / 6, abs=0.1)
    names = [each for batch in range(6) for each in loader.names_of(batch)]
    held = {sample.name: bool((sample.read()[1] == 1).any()) for sample in loader.dataset.samples}
    assert sum(held[each] for each in names) / 30 == pytest.approx(share, abs=0.1)


def test_sampling_favours_tiles_by_their_masks_and_is_part_of_what_is_trained_on(tmp_path):
    cfg = slides_cfg(tmp_path, SOLVER_BATCH_SIZE=2, SOLVER_NUM_WORKERS=0, SOLVER_N_FOLDS=2)
    cfgs = [cfg, *(make_same(cfg, ["SOLVER.SAMPLING", name]) for name in ("foreground", "area"))]
    found = set()
    for each in cfgs:
        data, fold_of = training_set(each)
        found.add(build_dataloaders(each, data, fold_of, 0).train.dataset.fingerprint)
    assert len(found) == 3


def make_same(cfg, options):
    other = cfg.clone()
    other.defrost()
    other.merge_from_list(options)
    return other


def test_a_split_that_the_layout_has_drawn_is_a_fold_as_one_of_the_table_is(tmp_path):
    cfg = pairs_cfg(tmp_path)
    cases = [replace(case, split="valid" if case.id == "c" else "train") for case in list_cases(cfg).cases]
    data = build_training_set(cfg, cases, Failures())
    assert build_folds(cfg, cases, data) == {"a": NEVER, "b": NEVER, "c": 0, "d": NEVER}


def test_a_cpu_has_no_loading_processes_unless_they_are_asked_for(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [worker_count(asked) for asked in (-1, 0, 3)] == [0, 0, 3]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [worker_count(asked) for asked in (-1, 0, 3)] == [2, 0, 3]
