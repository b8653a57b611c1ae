"""Pseudo-labels stay within the fold whose network made them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data.cases import Case
from data.patches.build import build_dataloaders, build_training_set
from data.patches.crops import Cropping
from data.patches.tiles import build_tile_folder
from data.pseudo_labels import (
    FoldCard,
    PseudoLabels,
    build_pseudo_labels,
    check_card,
    fold_folder,
    harden_about,
    read_card,
    write_card,
)
from data.sources.labels import IGNORE
from data.stitching.probability_map import Frame, create_map
from data.writers.results import Results
from tests.slides import make_cfg, noise
from utils.failures import Failures

SHAPE = (40, 56)
IDS = "abcd"
FOLD_OF = {"a": 0, "b": 0, "c": 1, "d": 1}
SAID = {0: 51, 1: 204}  # what each fold's network says everywhere: 0.2 and 0.8


def card(fold, **changes):
    inside = tuple(name for name, own in FOLD_OF.items() if own == fold)
    return replace(FoldCard(fold, ("object",), 1.0, None, (0.5,), inside, f"hash{fold}", {}), **changes)


def save_map(root, fold, case_id, values, shape=SHAPE):
    path = Results(fold_folder(root, fold)).probabilities(case_id)
    made = create_map(path, shape, Frame((0, 0), shape, shape, ("object",)))
    made.write(0, np.broadcast_to(np.uint8(values), (1, *shape)))
    made.flush()


def save_again(root, fold, case_id, values, shape=SHAPE):
    shutil.rmtree(Results(fold_folder(root / "maps", fold)).probabilities(case_id))
    save_map(root / "maps", fold, case_id, values, shape)


@pytest.fixture
def root(tmp_path):
    """Four labelled images, two unlabelled ones, and maps of these that tell which fold made them."""
    for number, name in enumerate(IDS):
        for kind, pixels in (("images", noise(*SHAPE, 3, seed=number)), ("masks", noise(*SHAPE, seed=number) % 2)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / f"{name}.png")
    (tmp_path / "more" / "images").mkdir(parents=True)
    for number, name in enumerate("xy", start=10):
        Image.fromarray(noise(*SHAPE, 3, seed=number)).save(tmp_path / "more" / "images" / f"{name}.png")
        for fold, said in SAID.items():
            save_map(tmp_path / "maps", fold, name, said)
    for fold in SAID:
        write_card(tmp_path / "maps", card(fold))
    return tmp_path


def config(root, **options):
    paths = {"WSI_FOLDER": root, "UNLABELLED_FOLDER": root / "more", "PSEUDO_LABELS": root / "maps", "LAYOUT": "pairs"}
    plain = {"TILES_REDUCTION": 1, "INPUT_SIZE_TRAIN": 32, "SOLVER_NUM_WORKERS": 0, "SOLVER_BATCH_SIZE": 4}
    return make_cfg(**{f"DATASETS_{key}": value for key, value in paths.items()} | plain | options)


def labelled(root):
    return [Case(name, root / "images" / f"{name}.png", root / "masks" / f"{name}.png", name) for name in IDS]


def gather(root, cases=None, fold_of=FOLD_OF, **options):
    """The training set with its pseudo-labels, and what failed."""
    cfg, failures, cases = config(root, **options), Failures(), cases or labelled(root)
    data = build_training_set(cfg, cases, failures)
    pseudo = build_pseudo_labels(cfg, cases, fold_of, failures)
    return cfg, replace(data, pseudo=pseudo.samples), pseudo, failures


def targets_of(loader):
    """Values of the targets of an epoch that are neither 0, 1 nor ignored, by the name of the patch."""
    dataset, found = loader.dataset, {}
    for place in loader.get_idxs():
        values = set(np.unique(dataset[place][1].numpy()).tolist()) - {0.0, 1.0, float(IGNORE)}
        found.setdefault(dataset.samples[place % len(dataset.samples)].name, set()).update(values)
    return found


def test_a_class_is_sure_off_the_margin_about_the_threshold_and_ignored_within_it():
    harden = harden_about((0.5,), 0.1)  # sure from 0.6 * 255 = 153 up, and below 0.4 * 255 = 102
    assert harden(np.uint8([[0], [101], [102], [128], [152], [153], [255]])).tolist() == [0, 0, *[IGNORE] * 3, 1, 1]
    assert harden_about((0.5,), 0.0)(np.uint8([[127], [128]])).tolist() == [0, 1]
    assert harden_about((0.95,), 0.2)(np.uint8([[254], [255]])).tolist() == [IGNORE, 1]


def test_of_several_classes_the_most_probable_sure_one_counts():
    harden = harden_about((0.5, 0.8), 0.1)  # sure from 153 and 230, background below 102 and 178 (0.7 * 255 = 178.5)
    pairs = [[200, 0], [200, 240], [240, 231], [200, 220], [100, 170], [100, 200], [0, 240]]
    assert harden(np.uint8(pairs)).tolist() == [1, 2, 1, 1, 0, IGNORE, 2]


@pytest.mark.parametrize("crops", ["tiles", "crops"])
def test_no_fold_ever_sees_what_the_network_of_another_said(root, crops):
    options = {"INPUT_FROM": crops, "SOLVER_PSEUDO": "soft", "AUGMENTATION_CUTMIX": 0.5, "INPUT_CROP_SCALE": 0.2}
    cfg, data, _, failures = gather(root, **options)
    assert not failures.rows
    for fold, said in SAID.items():
        loaders = build_dataloaders(cfg, data, FOLD_OF, fold)
        own = pytest.approx(round(said * 254 / 255) / 254)
        for epoch in range(3):
            loaders.train.dataset.epoch = epoch
            found = targets_of(loaders.train)
            assert {name[0] for name in found} >= {"x", "y"}
            assert all(value == own for values in found.values() for value in values)
            assert all(values for name, values in found.items() if name[0] in "xy")
        assert {name[0] for name in targets_of(loaders.valid)} == {name for name, own in FOLD_OF.items() if own == fold}


def test_hard_targets_are_the_classes_and_cross_no_fold_either(root):
    cfg, data, _, _ = gather(root, SOLVER_PSEUDO_MARGIN=0.2)
    for fold, said in SAID.items():
        dataset = build_dataloaders(cfg, data, FOLD_OF, fold).train.dataset
        for sample in data.pseudo[fold]:
            image, mask = sample.read()
            assert image.shape == (32, 32, 3)
            np.testing.assert_array_equal(mask, np.full((32, 32), int(said == SAID[1])))
        assert dataset[0][1].dtype.is_floating_point is False


def test_an_epoch_is_as_long_as_without_and_has_the_share_in_every_batch(root):
    cfg, data, _, _ = gather(root, SOLVER_PSEUDO_SHARE=0.25, SOLVER_EPOCH_PATCHES=40)
    train = build_dataloaders(cfg, data, FOLD_OF, 0).train
    plain = build_dataloaders(cfg, replace(data, pseudo={}), FOLD_OF, 0).train
    assert len(train.dataset) == len(plain.dataset) == 40
    names = [train.dataset.samples[place % len(train.dataset.samples)].name for place in train.get_idxs()]
    assert [sum(name[0] in "xy" for name in names[start : start + 4]) for start in range(0, 40, 4)] == [1] * 10
    assert len(set(train.get_idxs())) == 40  # equal places would be augmented alike


def test_without_the_option_nothing_is_added(root):
    cfg = config(root, DATASETS_PSEUDO_LABELS="")
    assert build_pseudo_labels(cfg, labelled(root), FOLD_OF, Failures()) == PseudoLabels()


def test_patches_have_the_values_of_the_map_and_of_the_image_where_they_lie(root):
    values, pixels = noise(*SHAPE, seed=5), np.asarray(Image.open(root / "more" / "images" / "x.png"))
    save_again(root, 0, "x", values)
    _, data, _, _ = gather(root, SOLVER_PSEUDO="soft")
    for sample in [each for each in data.pseudo[0] if each.case_id == "x"]:
        image, fractions = sample.read()
        np.testing.assert_array_equal(image, pixels[sample.box.slices])
        assert np.abs(fractions[..., 0] / 254 - values[sample.box.slices] / 255).max() <= 0.5 / 254 + 1e-6
        assert sample.content.area == (sample.read_mask() == 1).sum()


def test_a_crop_at_another_scale_shows_the_same_place_of_map_and_image(root):
    ramp = np.broadcast_to(np.arange(56, dtype=np.uint8) * 4, SHAPE)
    Image.fromarray(np.repeat(ramp[..., None], 3, -1)).save(root / "more" / "images" / "x.png")
    save_again(root, 0, "x", ramp)
    _, data, _, _ = gather(root, SOLVER_PSEUDO="soft", INPUT_FROM="crops")
    sample = next(each for each in data.pseudo[0] if each.case_id == "x")
    for draw in range(5):
        image, fractions = Cropping(0.5)(sample, [draw])
        known = fractions != IGNORE
        difference = image[..., :1].astype(float) - fractions * (255 / 254)
        assert np.abs(difference[known]).max() <= 2


def test_an_image_smaller_than_a_patch_is_ignored_where_it_is_mirrored(root):
    Image.fromarray(noise(20, 24, 3)).save(root / "more" / "images" / "x.png")
    for fold in SAID:
        save_again(root, fold, "x", 200, (20, 24))
    for kind, value in (("hard", 1), ("soft", 199)):
        _, data, _, _ = gather(root, SOLVER_PSEUDO=kind)
        mask = next(each for each in data.pseudo[0] if each.case_id == "x").read()[1]
        assert (mask[:20, :24] == value).all()
        assert (mask[20:] == IGNORE).all()
        assert (mask[:, 24:] == IGNORE).all()


def test_images_of_a_group_that_a_fold_validates_on_are_left_out_of_that_fold(root):
    (root / "ids.csv").write_text("id,group,split\na,p,\nb,p,\nc,q,\nd,r,\nx,q,unlabelled\ny,s,unlabelled\n")
    cases = [replace(case, group=group) for case, group in zip(labelled(root), "ppqr", strict=True)]
    _, data, _, _ = gather(root, cases, DATASETS_ID_CSV=root / "ids.csv")
    assert {fold: {sample.case_id for sample in data.pseudo[fold]} for fold in SAID} == {0: {"x", "y"}, 1: {"y"}}


def test_an_image_without_a_map_or_with_that_of_another_is_a_failure_and_the_others_go_on(root):
    save_again(root, 1, "x", 100, (40, 50))
    Image.fromarray(noise(*SHAPE, 3, seed=12)).save(root / "more" / "images" / "z.png")
    _, data, pseudo, failures = gather(root)
    assert {row.id: row.message.split(".zarr ")[1][:25] for row in failures.rows} == {
        "x": "is the map of another ima",
        "z": "is missing; make it with ",
    }
    assert [case.id for case in pseudo.cases] == ["y"]
    assert all({sample.case_id for sample in data.pseudo[fold]} == {"y"} for fold in SAID)


def test_an_id_that_is_labelled_too_is_refused(root):
    (root / "more" / "images" / "x.png").rename(root / "more" / "images" / "c.png")
    with pytest.raises(ValueError, match=r"UNLABELLED_FOLDER has \['c'\], which are labelled"):
        gather(root)


def test_maps_in_the_folder_of_another_fold_are_refused(root):
    for fold, name in ((0, "kept"), (1, "fold0")):
        fold_folder(root / "maps", fold).rename(root / "maps" / name)
    with pytest.raises(ValueError, match="were made by fold 1; fold 0 may not learn from them"):
        gather(root)
    with pytest.raises(ValueError, match="holds nothing that fold 2 could learn from"):
        read_card(root / "maps", 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("vessel",)}, r"of fold 0 have classes \['vessel'\], not \['object'\]"),
        ({"reduction": 2.0}, "of fold 0 were made at red2, TILES asks for red1"),
        ({"reduction": 0.0, "spacing_um": 0.5}, "of fold 0 were made at 0.5um, TILES asks for red1"),
        ({"validation_ids": ("a",)}, r"fold 0 validates on \['b'\], which the network .* did not hold out"),
    ],
)
def test_maps_of_other_classes_scale_or_folds_are_refused(root, changes, message):
    folder = build_tile_folder(config(root))
    check_card(card(0), folder, ["object"], ["a", "b"])
    with pytest.raises(ValueError, match=message):
        check_card(card(0, **changes), folder, ["object"], ["a", "b"])


def test_folds_that_were_dealt_otherwise_are_refused(root):
    with pytest.raises(ValueError, match=r"fold 0 validates on \['c'\], .*set DATASETS.FOLDS_CSV"):
        gather(root, fold_of={"a": 0, "c": 0, "b": 1, "d": 1})


def test_maps_by_other_weights_are_not_mixed_with_those_that_are_there(root):
    write_card(root / "maps", card(0))
    with pytest.raises(ValueError, match=r"were made with other \['weights'\]; remove it"):
        write_card(root / "maps", card(0, weights="another"))
