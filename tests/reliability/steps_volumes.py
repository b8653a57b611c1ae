"""What users do with volumes."""

from typing import TYPE_CHECKING

from tests.reliability.room import Room

if TYPE_CHECKING:
    from tests.reliability.steps import Seen


def predict_volumes(room: Room) -> "Seen":
    """Predict the volumes of a Decathlon task, and score them."""
    return _predict(room, "decathlon")


def predict_series(room: Room) -> "Seen":
    """Predict folders of DICOM slices."""
    return _predict(room, "series")


def _predict(room: Room, layout: str) -> "Seen":
    import test_net
    from tests.reliability.steps import call

    options = {
        "DATASETS.LAYOUT": layout,
        "DATASETS.MASKS": "",
        "DATASETS.SPLIT_SHARE": 0,
        "TEST.WSI_FOLDER": room.slides,
        "TEST.MODEL_WEIGHTS_FOLDER": room.weights,
        "TEST.OUTPUT_DIR": room.out,
        "TEST.WRITE": ["nifti"],
    }
    return call(test_net.main, room, options)
