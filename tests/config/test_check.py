import pytest

from config import ConfigError, load_cfg
from config.check import (
    AT_LEAST_ONE,
    CHOICES,
    CHOICES_OF_LISTS,
    FRACTIONS,
    NOT_NEGATIVE,
    POSITIVE,
    check_cfg,
    get,
    label_options,
    learns_from_tiles,
)
from config.volume_patches import OF_VOLUMES


def mistakes(*options, paths=(), known=()):
    try:
        check_cfg(load_cfg(options=options), paths, known)
    except ConfigError as error:
        return error.mistakes
    return []


def test_the_defaults_are_right():
    assert mistakes() == []


@pytest.mark.parametrize("key", CHOICES)
def test_a_wrong_choice_names_the_right_ones(key):
    wrong = 99 if isinstance(CHOICES[key][0], int) else "nonsense"
    (mistake,) = mistakes(key, str(wrong))
    assert mistake.startswith(f"{key} is {wrong!r}; choose one of ")
    assert all(str(choice) in mistake for choice in CHOICES[key])


@pytest.mark.parametrize("key", CHOICES_OF_LISTS)
def test_each_wrong_choice_of_a_list_is_named(key):
    good = CHOICES_OF_LISTS[key]
    assert mistakes(key, str(good)) == []
    assert mistakes(key, str(["a", good[0], "b"])) == [f"{key} names {each!r}; choose from {good}" for each in "ab"]
    assert mistakes(key, "[1]") != []
    assert mistakes(key, "[]") == []


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["SOLVER.CYCLES", "3"], "SOLVER.CYCLES"),
        (["SOLVER.CYCLES", "4", "SOLVER.SCHEDULE", "cosine", "SOLVER.EPOCHS", "30"], "SOLVER.CYCLES"),
        (["SOLVER.EMA", "0.9", "SOLVER.SWA_EPOCHS", "3"], "SOLVER.EMA"),
        (["SOLVER.DEEP_SUPERVISION", "0.5", "MODEL.ARCHITECTURE", "FPN"], "SOLVER.DEEP_SUPERVISION"),
        (["SOLVER.EMA", "1.0"], "SOLVER.EMA"),
        (["SOLVER.EMA", "-0.1"], "SOLVER.EMA"),
        (["SOLVER.PLATEAU_FACTOR", "1.5"], "SOLVER.PLATEAU_FACTOR"),
        (["SOLVER.FREEZE_EPOCHS", "30"], "SOLVER.FREEZE_EPOCHS"),
        (["SOLVER.SWA_EPOCHS", "31"], "SOLVER.SWA_EPOCHS"),
    ],
)
def test_what_does_not_go_together_is_named(options, key):
    assert [mistake.split(" ")[0] for mistake in mistakes(*options)] == [key]


def test_a_step_of_the_diffusion_that_makes_waves_is_named():
    volume = ["MODEL.AXES", "3", "INPUT.PATCH", "[32, 32, 32]"]
    told = "INPUT.DIFFUSION_STEP is 0.143; it must be above 0 and at most 0.0682, or waves grow"
    assert told in mistakes(*volume, "INPUT.DIFFUSION", "5")
    assert not [each for each in mistakes(*volume) if "DIFFUSION" in each]
    for step in ("0", "0.2", "-1"):
        assert len(mistakes("INPUT.DIFFUSION", "1", "INPUT.DIFFUSION_STEP", step)) == 1
    assert not mistakes("INPUT.DIFFUSION", "1", "INPUT.DIFFUSION_STEP", str(1 / 6))


@pytest.mark.parametrize("parts", ["['bce', 1]", "[['bce']]", "[['bce', 0]]", "[['bce', '1']]"])
def test_parts_of_a_loss_are_pairs_of_name_and_weight(parts):
    assert [mistake.split(" is ")[0] for mistake in mistakes("SOLVER.LOSS_PARTS", parts)] == ["SOLVER.LOSS_PARTS"]


def test_a_wrong_part_of_a_loss_is_named():
    assert mistakes("SOLVER.LOSS_PARTS", "[['bce', 1], ['tversky', 0.5]]") == []
    (mistake,) = mistakes("SOLVER.LOSS_PARTS", "[['bce', 1], ['dise', 0.5]]")
    assert mistake.startswith("SOLVER.LOSS_PARTS names 'dise'; choose from ['bce', ")


@pytest.mark.parametrize("key", AT_LEAST_ONE)
def test_sizes_and_counts_are_at_least_one(key):
    assert any(m.startswith(f"{key} is 0; it must be at least 1") for m in mistakes(key, "0"))


@pytest.mark.parametrize("key", NOT_NEGATIVE)
def test_some_values_are_not_negative(key):
    assert any(m.startswith(f"{key} is -1") for m in mistakes(key, "-1"))


@pytest.mark.parametrize("key", POSITIVE)
@pytest.mark.parametrize("value", ["0", "-1"])
def test_some_values_are_above_zero(key, value):
    assert any(m.startswith(f"{key} is ") and "above 0" in m for m in mistakes(key, value))


@pytest.mark.parametrize("key", FRACTIONS)
def test_fractions_lie_between_zero_and_one(key):
    volumes = ["MODEL.AXES", "3", "MODEL.ARCHITECTURE", "monai-UNet", "INPUT.PATCH", "[32, 32, 32]"]
    others = volumes if key.split(".")[1] in OF_VOLUMES else []
    for value, count in (("0", 0), ("1", 0), ("1.01", 1), ("-0.01", 1)):
        assert len(mistakes(key, value, *others)) == count


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("key", ["SOLVER.LR", "TEST.TH", "SOLVER.WEIGHT_DECAY", "TILES.REDUCTION", "TILES.SPACING_UM",
                                 "SOLVER.ENCODER_LR_FACTOR", "AUGMENTATION.FLIP"])  # fmt: skip
def test_no_value_is_infinite_or_no_number(key, value):
    assert len(mistakes(key, value)) >= 1


def test_every_rule_is_of_an_option_that_exists():
    cfg = load_cfg()
    for key in (*CHOICES, *CHOICES_OF_LISTS, *AT_LEAST_ONE, *NOT_NEGATIVE, *POSITIVE, *FRACTIONS):
        get(cfg, key)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["INPUT.SIZE_TRAIN", "100"], "INPUT.SIZE_TRAIN is 100; it must be a multiple of 32"),
        (["TEST.PATCH", "500"], "TEST.PATCH is 500"),
        (["TEST.PATCH", "64", "TEST.OVERLAP", "64"], "TEST.OVERLAP is 64; it must be smaller than TEST.PATCH (64)"),
        (["TILES.OVERLAP", "300"], "TILES.OVERLAP is 300"),
        (["SOLVER.N_FOLDS", "1"], "SOLVER.N_FOLDS is 1; it must be at least 2"),
        (["SOLVER.FOLDS", "[4]"], "SOLVER.FOLDS is [4]; folds run from 0 to 3"),
        (["SOLVER.FOLDS", "['a']"], "SOLVER.FOLDS"),
        (["DATASETS.CLASSES", "[]"], "DATASETS.CLASSES"),
        (["DATASETS.CLASSES", "['a', 'a']"], "different classes"),
        (["DATASETS.CLASSES", str([str(n) for n in range(255)])], "1 to 254 different classes"),
        (["DATASETS.MASK_VALUES", "[[1], [2]]"], "2 lists for 1 classes"),
        (["DATASETS.MASK_VALUES", "[1]"], "DATASETS.MASK_VALUES is [1]; it must be lists"),
        (["DATASETS.MASK_VALUES", "[[256]]"], "values 0 to 255"),
        (["DATASETS.MASK_THRESHOLD", "256"], "DATASETS.MASK_THRESHOLD is 256"),
        (["DATASETS.LABEL_NAMES", "['a', 'b']"], "it must be pairs of texts, such as [['GS', 'glomerulus']]"),
        (["DATASETS.LABEL_NAMES", "[['a', 1]]"], "it must be pairs of texts"),
        (["DATASETS.LABEL_NAMES", "[['a', 'object', 'b']]"], "it must be pairs of texts"),
        (["DATASETS.LABEL_NAMES", "[['a', 'b']]"], "has ['b']; choose of ['object', 'background', 'ignore', 'drop']"),
        (["DATASETS.LABEL_NAMES", "[['a', 'drop'], ['a', 'object']]"], "must have each name once"),
        (["DATASETS.LABELS_COCO", "a.json", "DATASETS.LABELS_FOLDER", "b"], "are both set; leave one empty"),
        (["DATASETS.CROP", "[1, 2, 3]"], "DATASETS.CROP is [1, 2, 3]; it must be [row, column, rows, columns]"),
        (["DATASETS.CROP", "[-1, 2, 3, 4]"], "DATASETS.CROP"),
        (["TEST.TTA_SCALES", "[]"], "TEST.TTA_SCALES"),
        (["TEST.TTA_SCALES", "[1.0, 0]"], "TEST.TTA_SCALES is [1.0, 0]; it must be factors from 0.25 to 4"),
        (["DATASETS.CROP", "[1, 2, 0, 4]"], "DATASETS.CROP"),
        (["DATASETS.LAYOUT", "pairs", "DATASETS.IMAGES", "*.png"], "DATASETS.IMAGES is '*.png'; it must hold {name}"),
        (["INPUT.MEAN", "[0.5]"], "INPUT.MEAN has 1 values for 3 channels"),
        (["INPUT.STD", "[0.5, 0.5]"], "INPUT.STD has 2 values for 3 channels"),
        (["INPUT.STD", "[0.5, 0.5, 0]"], "INPUT.STD"),
        (["INPUT.MEAN", "['a', 'b', 'c']"], "INPUT.MEAN"),
    ],
)
def test_what_cannot_work_is_told(options, part):
    found = mistakes(*options)
    assert len(found) == 1
    assert part in found[0]


def test_right_lists_pass():
    assert (
        mistakes("DATASETS.CROP", "[28, 320, 1024, 1280]", "INPUT.MEAN", "[0, 0.5, 1]", "INPUT.STD", "[1, 1, 1]") == []
    )
    assert mistakes("DATASETS.FOLD_GROUPS", "[['1'], ['2']]", "SOLVER.FOLDS", "[1]") == []


def test_missing_paths_are_told_and_empty_ones_are_not(tmp_path):
    options = [
        "DATASETS.WSI_FOLDER",
        str(tmp_path),
        "DATASETS.LABELS_CSV",
        str(tmp_path / "gone.csv"),
        "DATASETS.ID_CSV",
        "",
    ]
    found = mistakes(*options, paths=["DATASETS.WSI_FOLDER", "DATASETS.LABELS_CSV", "DATASETS.ID_CSV"])
    assert found == [f"DATASETS.LABELS_CSV is {str(tmp_path / 'gone.csv')!r}, which does not exist"]


def test_the_options_of_the_labels_are_those_in_use(tmp_path):
    for option, wanted in (("FOLDER", "LABELS_FOLDER"), ("COCO", "LABELS_COCO"), ("CSV", "LABELS_CSV")):
        assert label_options(load_cfg("", [f"DATASETS.LABELS_{option}", "x"])) == [f"DATASETS.{wanted}"]
    pairs = ["DATASETS.LAYOUT", "pairs"]
    assert label_options(load_cfg("", pairs)) == []
    assert label_options(load_cfg("", [*pairs, "DATASETS.LABELS_COCO", "x"])) == ["DATASETS.LABELS_COCO"]
    found = mistakes("DATASETS.LABELS_COCO", str(tmp_path), paths=["DATASETS.LABELS_COCO"])
    assert found == [f"DATASETS.LABELS_COCO is {str(tmp_path)!r}, which is no file"]


def test_all_mistakes_are_told_at_once():
    options = ["SOLVER.EPOCHS", "0", "TEST.TTA", "all", "DATASETS.WSI_FOLDER", "/no/such"]
    found = mistakes(*options, paths=["DATASETS.WSI_FOLDER"], known=["there is no option X"])
    assert len(found) == 4
    assert found[0] == "there is no option X"


def test_a_folder_option_must_name_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for value in ("", str(tmp_path / "file")):
        with pytest.raises(ConfigError, match=r"TEST\.WSI_FOLDER is '.*', which is no folder"):
            check_cfg(load_cfg("", ["TEST.WSI_FOLDER", value]), ["TEST.WSI_FOLDER"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["DATASETS.FOLD_GROUPS", "[1, 3]"], "must be lists of names"),
        (["DATASETS.FOLD_GROUPS", "[['a'], ['a']]"], r"names \['a'\] in several folds"),
        (["DATASETS.CLASSES", "[1]"], "names must be texts"),
        (["DATASETS.MASK_THRESHOLD", "9", "DATASETS.MASK_VALUES", "[[1]]"], "makes one class"),
        (["TEST.SPLIT", "test"], r"DATASETS\.ID_CSV, which holds the splits, is empty"),
        (["DATASETS.GROUP_BY", "patient"], r"'patient', but DATASETS\.ID_CSV, which would have"),
        (["SOLVER.BATCH_SIZE", "1"], "at least 2"),
    ],
)
def test_options_that_contradict_each_other_are_told(options, words):
    with pytest.raises(ConfigError, match=words):
        check_cfg(load_cfg("", options))


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_crops_cannot_be_cached(cache):
    (mistake,) = mistakes("INPUT.FROM", "crops", "SOLVER.CACHE", cache)
    assert mistake.startswith(f"SOLVER.CACHE is {cache!r}")
    assert mistakes("INPUT.FROM", "crops") == mistakes("SOLVER.CACHE", cache) == []


def test_only_slides_that_are_not_cropped_are_learnt_from_tiles():
    found = {
        (layout, source): learns_from_tiles(load_cfg(options=["DATASETS.LAYOUT", layout, "INPUT.FROM", source]))
        for layout in CHOICES["DATASETS.LAYOUT"]
        for source in CHOICES["INPUT.FROM"]
    }
    assert [kind for kind, needed in found.items() if needed] == [("slides", "tiles")]
