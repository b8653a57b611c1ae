"""Steps that read weights of torch, or that take more from a card than the prediction of slides does."""

from typing import TYPE_CHECKING

from tests.reliability.room import GOOD, Room

if TYPE_CHECKING:
    from tests.reliability.steps import Seen


def export(room: Room) -> "Seen":
    """Make ONNX files of the weights."""
    import export_net
    from tests.reliability.steps import call

    return call(export_net.main, room, {"TEST.MODEL_WEIGHTS_FOLDER": room.weights})


def segment_one(room: Room) -> "Seen":
    """Predict one picture by the program that takes options of prediction from the card."""
    import apps.segment
    from tests.reliability.steps import call

    room.words += ["-m", str(room.weights), "-ii", str(room.slide(GOOD[0])), "-oi", str(room.out / "overlay.png")]
    return call(apps.segment.main, room, {})


def predict_torch(room: Room) -> "Seen":
    """Predict slides with a network of torch, a good one if the case brings none."""
    from tests.reliability.inputs.weights import good
    from tests.reliability.steps import predict

    if (room.weights / "mean.onnx").exists():
        good(room)
    return predict(room)
