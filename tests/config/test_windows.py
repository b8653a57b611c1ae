import pytest

from config import ConfigError, load_cfg
from config.check import check_cfg

VOLUMES = ["MODEL.AXES", "3", "MODEL.ARCHITECTURE", "monai-UNet", "INPUT.PATCH", "[16, 32, 32]"]


@pytest.mark.parametrize(
    "options",
    [
        ["TEST.PATCHES", "[96, 96]", "TEST.OVERLAPS", "[10, 0]"],
        [*VOLUMES, "TEST.OVERLAPS", "[15, 31, 0]"],
        [*VOLUMES, "TEST.PATCHES", "[8, 8, 8]", "TEST.OVERLAP_SHARE", "0.75"],
    ],
)
def test_windows_that_can_work_are_no_mistake(options):
    check_cfg(load_cfg(options=options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["TEST.PATCHES", "[96]"], r"TEST.PATCHES is \[96\]; it must be 2 sides .* such as \[96, 96\]"),
        (["TEST.PATCHES", "[96, 0]"], "TEST.PATCHES is"),
        ([*VOLUMES, "TEST.PATCHES", "[96, 96]"], "it must be 3 sides"),
        ([*VOLUMES, "TEST.OVERLAPS", "[16, 0, 0]"], "each must be smaller than its side"),
        ([*VOLUMES, "TEST.OVERLAPS", "[1, 2]"], "it must be 3 numbers"),
        (["TEST.OVERLAPS", "[1, 2]"], "each must be smaller than its side"),
        (["TEST.OVERLAP_SHARE", "1.0"], "TEST.OVERLAP_SHARE is 1.0"),
        (["TEST.BLEND", "flat"], "choose one of"),
        (["MODEL.AXES", "4"], r"MODEL.AXES is 4; choose one of \[2, 3\]"),
        (["TEST.GIF_AXIS", "3"], "TEST.GIF_AXIS is 3"),
    ],
)
def test_windows_that_cannot_work_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        check_cfg(load_cfg(options=options))
