import pytest

from config import load_cfg
from config.augmentation import AUGMENTATION_SETS
from config.check import check_cfg
from config.load import all_keys

DESCRIBES = {"SET", "STAINS", "FLIP_AXES"}  # keys that say what the data are, not how much is changed


def augmentation(*options, file=""):
    return dict(load_cfg(file, list(options)).AUGMENTATION)


def yaml_file(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", AUGMENTATION_SETS)
def test_a_set_gives_every_key_a_value_that_can_work(name):
    assert set(AUGMENTATION_SETS[name]) == set(load_cfg().AUGMENTATION) - DESCRIBES
    cfg = load_cfg("", ["AUGMENTATION.SET", name])
    check_cfg(cfg)
    assert {key: cfg.AUGMENTATION[key] for key in AUGMENTATION_SETS[name]} == AUGMENTATION_SETS[name]


def test_without_a_set_the_defaults_stand():
    assert augmentation("AUGMENTATION.SET", "") == augmentation()


@pytest.mark.parametrize("order", [1, -1])
def test_a_key_beside_a_set_differs_from_it_wherever_it_stands(tmp_path, order):
    pairs = [["AUGMENTATION.SET", "light"], ["AUGMENTATION.NOISE", "0.7"]][::order]
    found = augmentation(*pairs[0], *pairs[1])
    assert found == {**AUGMENTATION_SETS["light"], "NOISE": 0.7, "SET": "light", "STAINS": "he", "FLIP_AXES": []}
    lines = ["  SET: light", "  NOISE: 0.7"][::order]
    assert augmentation(file=yaml_file(tmp_path, "\n".join(["AUGMENTATION:", *lines]))) == found


def test_a_set_on_the_command_line_takes_the_place_of_what_the_file_says(tmp_path):
    file = yaml_file(tmp_path, "AUGMENTATION:\n  SET: heavy\n  NOISE: 0.7\n  STAINS: pas\n")
    found = augmentation("AUGMENTATION.SET", "light", file=file)
    assert found == {**AUGMENTATION_SETS["light"], "SET": "light", "STAINS": "pas", "FLIP_AXES": []}


def test_a_saved_config_with_a_set_loads_to_the_same(tmp_path):
    cfg = load_cfg("", ["AUGMENTATION.SET", "heavy", "AUGMENTATION.BLUR", "0"])
    assert dict(all_keys(load_cfg(yaml_file(tmp_path, cfg.dump(sort_keys=False))))) == dict(all_keys(cfg))


def test_an_unknown_set_is_a_mistake_that_names_the_known_ones():
    with pytest.raises(Exception, match=r"choose one of .*'light', 'seed', 'heavy'"):
        check_cfg(load_cfg("", ["AUGMENTATION.SET", "lite"]))
