import pytest

from config import load_cfg
from config.check import check_cfg
from config.load import ConfigError


def mistakes(*options: str) -> list[str]:
    try:
        check_cfg(load_cfg(options=["MODEL.ENCODER_WEIGHTS", "None", *options]))
    except ConfigError as error:
        return list(error.mistakes)
    return []


UNET = ["MODEL.ARCHITECTURE", "monai-UNet"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["MODEL.CHANNELS", "[8, 16]"], "MODEL.CHANNELS is [8, 16], which UneXt101 does not read; leave it, or choose"),
        (["MODEL.NORM", "batch"], "MODEL.NORM is 'batch', which UneXt101 does not read"),
        (["MODEL.ARCHITECTURE", "monai-SegResNet", "MODEL.STRIDES", "[2]"], "MODEL.STRIDES is [2], which monai-SegR"),
        (["MODEL.DROPOUT", "1.0", *UNET], "MODEL.DROPOUT is 1.0; it must be at least 0 and below 1"),
        ([*UNET, "MODEL.CHANNELS", "[16]"], "MODEL.CHANNELS is [16]; monai-UNet wants 2 to 9 whole numbers"),
        ([*UNET, "MODEL.CHANNELS", "[16, 'a']"], "MODEL.CHANNELS is [16, 'a']; monai-UNet wants"),
        ([*UNET, "MODEL.STRIDES", "[2, 2]"], "MODEL.STRIDES is [2, 2]; it must be one fewer than CHANNELS"),
        ([*UNET, "MODEL.STRIDES", "[2, [1, 2, 2], 2]"], "MODEL.STRIDES is [2, [1, 2, 2], 2]; it must be one fewer"),
        (["MODEL.ARCHITECTURE", "monai-SwinUNETR", "MODEL.CHANNELS", "[12, 24]"], "MODEL.CHANNELS is [12, 24]; monai-"),
        (["MODEL.ARCHITECTURE", "monai-UNETR"], "MODEL.ARCHITECTURE monai-UNETR takes patches of one size alone"),
        ([*UNET, "MODEL.ANY_HEAD", "0.1"], "MODEL.ANY_HEAD is 0.1; it is for networks with an encoder"),
        (
            ["MODEL.AXES", "3"],
            "MODEL.AXES is 3 and MODEL.ARCHITECTURE 'UneXt101', which is for 2; choose of ['monai-UNet'",
        ),
        (
            ["SOLVER.LOSS_FUNCTION_NAME", "tversky", "SOLVER.POS_WEIGHT", "3"],
            "SOLVER.POS_WEIGHT is 3.0; it has an effect in ('bce', 'bce_dice', 'bce_lovasz'), not in ['tversky']",
        ),
        (
            ["DATASETS.CLASSES", "['a', 'b']", "SOLVER.LOSS_PARTS", "[['dice_ce', 1]]"],
            "the loss dice_ce is for classes that exclude each other; set MODEL.ACTIVATION softmax",
        ),
    ],
)
def test_what_cannot_work_or_has_no_effect_is_named(options: list[str], wanted: str) -> None:
    assert any(mistake.startswith(wanted) for mistake in mistakes(*options))


@pytest.mark.parametrize(
    "options",
    [
        [*UNET, "MODEL.CHANNELS", "[8, 16, 32]", "MODEL.STRIDES", "[2, [1, 2]]", "MODEL.NORM", "batch"],
        ["MODEL.ACTIVATION", "softmax", "SOLVER.LOSS_FUNCTION_NAME", "dice_ce", "DATASETS.CLASSES", "['a', 'b']"],
        ["SOLVER.LOSS_FUNCTION_NAME", "dice_ce"],
        ["SOLVER.LOSS_PARTS", "[['tversky', 1], ['bce', 0.3]]", "SOLVER.POS_WEIGHT", "3"],
    ],
)
def test_what_can_work_is_no_mistake(options: list[str]) -> None:
    assert mistakes(*options) == []
