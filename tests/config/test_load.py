import pytest

from config import ConfigError, config_mistakes, load_cfg, parse_args, read_cfg
from config.load import all_keys


def yaml_file(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def mistakes(config_file="", options=()):
    with pytest.raises(ConfigError) as caught:
        load_cfg(config_file, options)
    return caught.value.mistakes


def test_the_command_line_overrules_the_file_and_the_file_the_defaults(tmp_path):
    file = yaml_file(tmp_path, "SOLVER:\n  EPOCHS: 3\n  LR: 1e-2\nOUTPUT_DIR: there\n")
    cfg = load_cfg(file, ["SOLVER.EPOCHS", "5"])
    assert (cfg.SOLVER.EPOCHS, cfg.SOLVER.LR, cfg.OUTPUT_DIR) == (5, 0.01, "there")
    assert cfg.SOLVER.BATCH_SIZE == load_cfg().SOLVER.BATCH_SIZE


def test_dotted_keys_are_as_good_as_nested_ones_in_a_file(tmp_path):
    assert load_cfg(yaml_file(tmp_path, "SOLVER.EPOCHS: 3\n")).SOLVER.EPOCHS == 3


def test_the_config_is_frozen_and_loading_leaves_the_defaults_alone():
    cfg = load_cfg(options=["DATASETS.CLASSES", "['a', 'b']"])
    with pytest.raises(AttributeError):
        cfg.SOLVER.EPOCHS = 3
    assert load_cfg().DATASETS.CLASSES == ["object"]
    load_cfg().DATASETS.CLASSES.append("x")
    assert load_cfg().DATASETS.CLASSES == ["object"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("SOLVER.EPOCHS", "7", 7),
        ("SOLVER.LR", "1e-4", 1e-4),
        ("SOLVER.LR", "1", 1.0),
        ("AUGMENTATION.AFFINE_DEGREES", "-10", -10.0),
        ("SOLVER.FIND_LR", "True", True),
        ("SOLVER.FOLDS", "[0, 2]", [0, 2]),
        ("SOLVER.FOLDS", "(1,)", [1]),
        ("DATASETS.MASK_VALUES", "[[10, 20], [30]]", [[10, 20], [30]]),
        ("MODEL.ENCODER_WEIGHTS", "None", "None"),
        ("DATASETS.WSI_FOLDER", "2024_11", "2024_11"),
        ("RUN_NAME", "001", "001"),
        ("RUN_NAME", "1e5", "1e5"),
        ("RUN_NAME", "0x10", "0x10"),
        ("DATASETS.ID_CSV", "a b.csv", "a b.csv"),
        ("RUN_NAME", "", ""),
    ],
)
def test_texts_become_the_type_of_the_default(key, text, value):
    found = dict(all_keys(load_cfg(options=[key, text])))[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "wanted"),
    [
        ("SOLVER.EPOCHS", "3.5", "a whole number"),
        ("SOLVER.EPOCHS", "True", "a whole number"),
        ("SOLVER.EPOCHS", "many", "a whole number"),
        ("SOLVER.LR", "fast", "a number"),
        ("SOLVER.LR", "None", "a number"),
        ("SOLVER.LR", "True", "a number"),
        ("SOLVER.FIND_LR", "1", "True or False"),
        ("SOLVER.FIND_LR", "yes", "True or False"),
        ("SOLVER.FOLDS", "3", "a list"),
        ("DATASETS.CLASSES", "glomerulus", "a list"),
    ],
)
def test_a_wrong_type_is_told_with_key_value_and_what_it_must_be(key, text, wanted):
    (mistake,) = mistakes(options=[key, text])
    assert mistake.startswith(f"command line: {key} is ")
    assert f"it must be {wanted}" in mistake


def test_a_text_option_takes_no_list_from_a_file(tmp_path):
    (mistake,) = mistakes(yaml_file(tmp_path, "RUN_NAME: [1]\n"))
    assert "some.yaml: RUN_NAME is [1]; it must be a text" in mistake


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("SOLVER.EPOCH", "SOLVER.EPOCHS"),
        ("solver.epochs", "SOLVER.EPOCHS"),
        ("DATASETS.WSI_FOLDR", "DATASETS.WSI_FOLDER"),
        ("MODEL.ARCH", "MODEL.ARCHITECTURE"),
        ("x", ""),
    ],
)
def test_an_unknown_key_names_its_nearest_neighbour(wrong, right):
    (mistake,) = mistakes(options=[wrong, "1"])
    assert f"there is no option {wrong}; did you mean {right}" in mistake


def test_all_mistakes_of_file_and_command_line_are_told_together(tmp_path):
    file = yaml_file(tmp_path, "SOLVER:\n  EPOCS: 3\n  LR: fast\nMODEL: Unet\n")
    found = mistakes(file, ["TEST.TH", "high", "NO.SUCH", "1", "LONELY"])
    assert len(found) == 6
    for part in ("EPOCS", "SOLVER.LR", "MODEL is a group of options", "TEST.TH", "NO.SUCH", "'LONELY' has no partner"):
        assert sum(part in mistake for mistake in found) == 1, part


def test_a_wrong_option_keeps_its_default_where_mistakes_are_only_collected():
    cfg, found = read_cfg(options=["SOLVER.EPOCHS", "many", "SOLVER.LR", "0.5"])
    assert cfg.SOLVER.EPOCHS == load_cfg().SOLVER.EPOCHS
    assert cfg.SOLVER.LR == 0.5
    assert len(found) == 1


@pytest.mark.parametrize("text", ["a: b: c", "- 1\n- 2", "just words", "\x00"])
def test_a_file_that_is_no_config_is_told(tmp_path, text):
    (mistake,) = mistakes(yaml_file(tmp_path, text))
    assert "some.yaml" in mistake


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    assert "gone.yaml cannot be read" in mistakes(str(tmp_path / "gone.yaml"))[0]
    assert "cannot be read" in mistakes(str(tmp_path))[0]


def test_an_empty_file_changes_nothing(tmp_path):
    assert load_cfg(yaml_file(tmp_path, "# nothing\n")) == load_cfg()


def test_a_saved_config_loads_to_the_same(tmp_path):
    cfg = load_cfg(options=["DATASETS.CLASSES", "['a', 'b']", "MODEL.ENCODER_WEIGHTS", "None", "RUN_NAME", "001"])
    assert load_cfg(yaml_file(tmp_path, cfg.dump(sort_keys=False))) == cfg


def test_options_may_stand_before_and_after_the_file():
    for argv in (["--config-file", "a.yaml", "A", "1"], ["A", "1", "--config-file", "a.yaml"]):
        args = parse_args(argv, "words")
        assert (args.config_file, args.options) == ("a.yaml", ["A", "1"])
    assert parse_args(["A", "-1.5"], "words").options == ["A", "-1.5"]


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("bad")])
def test_what_the_first_look_at_data_finds_is_a_mistake_of_the_config(error):
    with pytest.raises(ConfigError, match="bad"), config_mistakes():
        raise error
    with pytest.raises(KeyError), config_mistakes():
        raise KeyError
