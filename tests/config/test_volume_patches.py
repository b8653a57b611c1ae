import pytest

from config.check import check_cfg, learns_from_tiles
from config.load import ConfigError
from tests.slides import make_cfg

VOLUMES = {"MODEL_AXES": 3, "MODEL_ARCHITECTURE": "monai-UNet"}
CROPS = {**VOLUMES, "INPUT_FROM": "crops", "INPUT_PATCH": [16, 32, 32], "SOLVER_SAMPLING": "posneg"}


@pytest.mark.parametrize(
    "options",
    [
        CROPS,
        {**CROPS, "SOLVER_CACHE": "memory"},
        {**VOLUMES, "INPUT_FROM": "whole"},
        {**VOLUMES, "INPUT_FROM": "whole", "INPUT_PATCH": [16, 32, 32]},
        {**VOLUMES, "INPUT_PATCH": [16, 32, 32], "TILES_OVERLAP": 8, "SOLVER_SAMPLING": "foreground"},
    ],
)
def test_every_way_to_learn_from_volumes_is_right(options):
    check_cfg(make_cfg(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {**CROPS, "SOLVER_SAMPLING": "all"},
            r"SOLVER\.SAMPLING is 'all'; \['posneg', 'uniform', 'label', 'weighted'\]",
        ),
        ({"SOLVER_SAMPLING": "label"}, r"SOLVER\.SAMPLING is 'label'; .* are for INPUT\.FROM 'crops' of volumes"),
        ({**CROPS, "INPUT_PATCH": []}, r"INPUT\.PATCH is empty; give the sides"),
        ({**CROPS, "INPUT_PATCH": [32, 32]}, r"INPUT\.PATCH is \[32, 32\]; it must be three sides"),
        ({**CROPS, "INPUT_PATCH": [32, 32, 0]}, "it must be three sides"),
        ({**CROPS, "TILES_OVERLAP": 16}, r"TILES\.OVERLAP is 16; it must be smaller than every side of INPUT\.PATCH"),
        ({"INPUT_PATCH": [16, 32, 32]}, r"but MODEL\.AXES is 2; set INPUT\.SIZE_TRAIN"),
        ({"INPUT_FROM": "whole"}, r"INPUT\.FROM is 'whole', which is for volumes"),
        ({"AUGMENTATION_MOTION": 0.5}, r"AUGMENTATION\.MOTION is 0\.5; that is for volumes"),
        ({"AUGMENTATION_FLIP_AXES": [2]}, r"FLIP_AXES is \[2\]; it must name axes 0 \(row\), 1 \(column\), each once"),
        ({**CROPS, "AUGMENTATION_FLIP_AXES": [0, 3]}, r"FLIP_AXES is \[0, 3\]; it must name axes 0"),
        ({**CROPS, "AUGMENTATION_FLIP_AXES": [1, 1]}, "each once at most"),
        ({**CROPS, "AUGMENTATION_BIAS_FIELD": 1.5}, r"AUGMENTATION\.BIAS_FIELD is 1\.5; it must lie in 0 to 1"),
        ({**CROPS, "INPUT_FROM": "slices"}, r"INPUT\.FROM is 'slices', which are for networks of pictures"),
        ({"SOLVER_SAMPLING": "slices"}, r"SOLVER\.SAMPLING is 'slices', which needs INPUT\.FROM 'slices'"),
        (
            {"SOLVER_SAMPLING": "slices", "INPUT_FROM": "slices", "DATASETS_PSEUDO_LABELS": "output"},
            "has no share for DATASETS.PSEUDO_LABELS",
        ),
        ({"MODEL_AXES": 4}, r"MODEL\.AXES is 4; choose one of \[2, 3\]"),
    ],
)
def test_a_mistake_says_what_to_set(options, message):
    with pytest.raises(ConfigError, match=message):
        check_cfg(make_cfg(**options))


def test_volumes_need_no_tiles_on_disk():
    assert not learns_from_tiles(make_cfg(**CROPS))
