"""Options, their documentation and their use agree; every experiment loads."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from config import load_cfg
from config.check import CHOICES, CHOICES_OF_LISTS, SOFT_LOSSES, check_cfg
from config.load import all_keys
from config.resume import MAY_DIFFER
from model.card import NO_EFFECT

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = sorted((ROOT / "config" / "experiments").glob("*.yaml"))
CODE = {
    path: path.read_text(encoding="utf-8")
    for folder in ("config", "data", "model", "utils", "apps", ".")
    for path in (ROOT / folder).glob("*.py" if folder == "." else "**/*.py")
    if path.name not in ("defaults.py", "check.py")
}
UNREAD: set[str] = set()  # options that are kept so that older configs load; their comments say so


@pytest.mark.parametrize("key", [key for key, _ in all_keys(load_cfg())])
def test_every_option_is_read_somewhere(key):
    section, _, name = key.rpartition(".")
    # read as cfg.SOLVER.LR, or as options.LR after options = cfg.SOLVER
    wanted = re.compile(rf"\b(?:cfg|\w+)\.(?:{section}\.)?{name}\b" if section else rf"\bcfg\.{name}\b")
    readers = [path for path, text in CODE.items() if wanted.search(text) and (not section or section in text)]
    assert bool(readers) != (key in UNREAD)


def test_every_option_is_documented_where_it_stands():
    text = (ROOT / "config" / "defaults.py").read_text(encoding="utf-8")
    documented = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and not isinstance(statement.value, ast.Call):
            key = ast.unparse(statement.targets[0]).removeprefix("_C.")
            documented[key] = "#" in "\n".join(text.splitlines()[statement.lineno - 1 : statement.end_lineno])
    assert set(documented) == {key for key, _ in all_keys(load_cfg())}
    assert all(documented.values()), [key for key, found in documented.items() if not found]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_loads_and_is_right(path):
    check_cfg(load_cfg(str(path)))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_holds_only_what_differs_from_the_defaults(path):
    found = dict(all_keys(load_cfg(str(path))))
    defaults = dict(all_keys(load_cfg(options=["AUGMENTATION.SET", found["AUGMENTATION.SET"]])))
    stated = re.findall(r"^ *([A-Z0-9_]+):(?= *\S)", re.sub(r"#.*", "", path.read_text(encoding="utf-8")), re.MULTILINE)
    changed = {key for key in defaults if found[key] != defaults[key]}
    assert yaml.safe_load(path.read_text(encoding="utf-8"))
    assert len(changed) <= len(stated)
    assert changed


def test_the_choice_of_losses_is_the_table_of_losses():
    from utils.losses import LOSSES

    assert sorted(CHOICES["SOLVER.LOSS_FUNCTION_NAME"]) == sorted(LOSSES)
    assert set(SOFT_LOSSES) <= set(LOSSES)


def test_the_choice_of_architectures_is_the_table_of_architectures():
    from model.custom_models import ARCHITECTURES
    from model.volume_networks import VOLUME_NETWORKS

    assert sorted(CHOICES["MODEL.ARCHITECTURE"]) == sorted([*ARCHITECTURES, *VOLUME_NETWORKS])


def test_the_choice_of_layouts_is_the_table_of_layouts():
    from data.cases import LAYOUTS

    assert sorted(CHOICES["DATASETS.LAYOUT"]) == sorted(LAYOUTS)


def test_the_choice_of_products_is_the_table_of_products():
    from data.writers.products import PRODUCTS, SLICES, VOLUME_PRODUCTS

    assert sorted(CHOICES_OF_LISTS["TEST.WRITE"]) == sorted([*PRODUCTS, *VOLUME_PRODUCTS, SLICES])
    assert set(load_cfg().TEST.WRITE) <= {*PRODUCTS, *VOLUME_PRODUCTS}


def test_the_choice_of_what_is_tuned_is_what_can_be():
    from data.tuning import TUNED

    assert CHOICES_OF_LISTS["SOLVER.TUNE"] == list(TUNED)


def test_the_choice_of_views_is_what_the_predictor_knows():
    from model.predictor import views

    for kind in CHOICES["TEST.TTA"]:
        assert views(kind, 2)
    with pytest.raises(KeyError):
        views("all", 2)


def test_the_choice_of_tissue_rules_is_what_can_be_built():
    from data.patches.tissue import build_tissue_rule

    detectors = [
        build_tissue_rule(load_cfg(options=["TILES.TISSUE", name])).detector for name in CHOICES["TILES.TISSUE"]
    ]
    assert len({type(detector) for detector in detectors}) == len(detectors)
    with pytest.raises(KeyError):
        build_tissue_rule(load_cfg(options=["TILES.TISSUE", "all"]))


def test_the_choice_of_samplings_is_the_tables_of_samplings_and_of_draws_from_volumes():
    from data.patches.sampling import BY_SLICE, SAMPLINGS
    from data.patches.volume_draws import DRAWS, LIBRARIES

    assert sorted(CHOICES["SOLVER.SAMPLING"]) == sorted([*SAMPLINGS, *DRAWS, BY_SLICE])
    assert set(DRAWS) == set(LIBRARIES)


def test_the_choice_of_stains_is_the_table_of_stains():
    from data.patches.transforms import STAINS_OD

    assert sorted(CHOICES["AUGMENTATION.STAINS"]) == sorted(STAINS_OD)


def test_what_changes_no_weights_may_differ_when_training_goes_on():
    assert set(NO_EFFECT) == {key for key in MAY_DIFFER if not key.startswith("TEST.")}
