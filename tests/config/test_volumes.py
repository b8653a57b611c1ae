import pytest

from config import load_cfg
from config.volumes import volume_mistakes


def mistakes(key, value):
    return list(volume_mistakes(load_cfg(options=[key, str(value)])))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("INPUT.WINDOW", value) for value in ([400, -1000], [0, 0], [1], [1, 2, 3], ["a", 1], [])),
        *(("INPUT.PERCENTILES", value) for value in ([99, 1], [-1, 50], [0, 101])),
        *(("TILES.REDUCTIONS", value) for value in ([0, 2, 2], [1], [1, -1, 2], ["1", 2, 2])),
        *(("TILES.SPACINGS_UM", value) for value in ([-1, 0, 0], [1500.0])),
        *(("TILES.SIDES", value) for value in ([1.5, 2, 2], [-1, 0, 0], [256])),
    ],
)
def test_what_cannot_work_is_named_with_its_value(key, value):
    (mistake,) = mistakes(key, value)
    assert mistake.startswith(f"{key} is {value}; it must be ")


def test_two_crops_and_a_pattern_without_a_name_are_mistakes():
    cfg = load_cfg(options=["DATASETS.CROP_TO", "body", "DATASETS.CROP", "[0, 0, 0, 1, 1, 1]"])
    assert [mistake.split()[0] for mistake in volume_mistakes(cfg)] == ["DATASETS.CROP"]
    cfg = load_cfg(options=["DATASETS.LAYOUT", "series", "DATASETS.MASKS", "masks/*.nii"])
    assert [mistake.split()[0] for mistake in volume_mistakes(cfg)] == ["DATASETS.MASKS"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INPUT.WINDOW", [-160, 240.5]),
        ("INPUT.PERCENTILES", [0, 100]),
        ("TILES.REDUCTIONS", [1, 2.5, 2]),
        ("TILES.SPACINGS_UM", [0, 1500.0, 1500]),
        ("TILES.SIDES", [0, 256, 256]),
    ],
)
def test_what_can_work_is_no_mistake(key, value):
    assert mistakes(key, value) == []
