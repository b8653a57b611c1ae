"""What users do, as one call each; in this process, since a new one would take seconds."""

import contextlib
import io
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import apps.segment
import test_net
import tiles_creator
from tests.reliability import steps_volumes, steps_weights
from tests.reliability.room import Room, lay_pairs
from tests.reliability.room_volumes import furnish_series, furnish_volumes

TRACEBACK = -1  # in place of an exit code


@dataclass(frozen=True)
class Seen:
    """How a program ended and all that it said."""

    code: int
    text: str


def tile(room: Room) -> Seen:
    """Cut slides into tiles."""
    return call(tiles_creator.main, room, options_of_tiles(room))


def options_of_tiles(room: Room) -> dict[str, object]:
    """What tiling and training on its tiles are called with."""
    return {
        "DATASETS.WSI_FOLDER": room.slides,
        "DATASETS.LABELS_CSV": room.labels,
        "DATASETS.TRAIN_FOLDER": room.out,
        "INPUT.SIZE_TRAIN": 64,
        "TILES.REDUCTION": 1,
    }


def tile_pairs(room: Room) -> Seen:
    """Cut pairs of images and masks into tiles."""
    lay_pairs(room)
    layout = {"LAYOUT": "pairs", "WSI_FOLDER": room.folder, "IMAGES": "images/{name}.*", "MASKS": "masks/{name}.*"}
    room.options = {**{f"DATASETS.{key}": value for key, value in layout.items()}, **room.options}
    return tile(room)


def predict(room: Room) -> Seen:
    """Predict slides with a network that gives the mean of the channels."""
    options = {
        "TEST.WSI_FOLDER": room.slides,
        "TEST.LABELS_CSV": room.labels,
        "TEST.MODEL_WEIGHTS_FOLDER": room.weights,
        "TEST.OUTPUT_DIR": room.out,
        "TEST.PATCH": 64,
        "TEST.OVERLAP": 16,
    }
    return call(test_net.main, room, options)


def segment(room: Room) -> Seen:
    """Segment all pictures of the folder of slides on the command line."""
    options = {"-m": room.weights, "-id": room.slides, "-od": room.out, "TEST.PATCH": 64, "TEST.OVERLAP": 16}
    return call(apps.segment.main, room, options)


STEPS: dict[str, Callable[[Room], Seen]] = {
    "tile": tile,
    "tile_pairs": tile_pairs,
    "predict": predict,
    "segment": segment,
    **{step.__name__: step for step in (steps_weights.export, steps_weights.segment_one, steps_weights.predict_torch)},
    **{step.__name__: step for step in (steps_volumes.predict_volumes, steps_volumes.predict_series)},
}
ROOMS = {"predict_volumes": furnish_volumes, "predict_series": furnish_series}  # of steps that no slides are for


def call(main: Callable[[list[str]], int], room: Room, options: dict[str, object]) -> Seen:
    """Call a script with its options, those of the room and the words of the room."""
    merged = {**options, **room.options}
    argv = [str(word) for pair in merged.items() for word in pair] + room.words
    said = io.StringIO()
    with contextlib.ExitStack() as around:
        around.enter_context(contextlib.redirect_stdout(said))
        around.enter_context(contextlib.redirect_stderr(said))
        for wrap in room.around:
            around.enter_context(wrap())
        try:
            code = main(argv)
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception:  # as Python would end; no promise, whatever is said
            code = TRACEBACK
            said.write(traceback.format_exc())
    return Seen(code, said.getvalue())
