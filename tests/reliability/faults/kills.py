"""Runs that are killed: at moments drawn by a seed, and at named points; then they are run again."""

import random
import shutil
import signal
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from tests.reliability.faults.apart import Fault, Whole, run_apart, undisturbed
from tests.reliability.steps import Seen

DELAYS = (0.0, 0.0, 0.002, 0.02, 0.1)  # seconds from a touch of the output to the end
POINTS = {
    "tile": [
        Fault(r"open masks_64_red1/.left_4red1.png"),  # within the writing of a tile
        Fault(r"os.rename images_64_red1/right_7red1.png"),
        Fault(r"os.rename images_64_red1/tiles.json"),
        Fault(r"os.rename images_64_red1/tiles.csv"),  # all tiles, no index
    ],
    "train": [
        Fault(r"os.rename training_state/fold0_previous.safetensors", nth=3),  # within the saving of a checkpoint
        Fault(r"os.rename training_state/fold0.safetensors", nth=3),  # the one before was moved, this one is not there
        Fault(r"os.rename weights/fold0.safetensors"),
        Fault(r"os.rename last_epoch/fold0.safetensors"),
        Fault(r"os.rename probabilities/[^/]+$", nth=2),
        Fault(r"os.rename weights/fold0.safetensors", nth=1),  # resumed: that of the tuned threshold
        Fault(r"os.rename report.html"),
    ],
    "predict": [
        Fault(r"open probabilities/.left.zarr-.*/c"),
        Fault(r"os.rename probabilities/left.zarr$"),  # in the commit of a map
        Fault(r"masks/.left.tiff-"),  # between map and mask
        Fault(r"os.rename masks/left.tiff"),
        Fault(r"os.rename output.csv"),
        Fault(r"os.rename report.html"),
    ],
}


def moments(step: str, count: int, folder: Path) -> Seen:
    """Kill a step at so many moments that are spread over it by a seed."""
    whole, chance = undisturbed(step), random.Random(9)
    length = whole.touches // 3 if step == "train" else whole.touches  # training goes on and is killed again
    faults = (Fault(nth=chance.randint(1, length), seconds=chance.choice(DELAYS)) for _ in iter(int, 1))
    return _kill(step, whole, faults, count, "moments")


def points(step: str, folder: Path) -> Seen:
    """Kill a step at each of its named points."""
    return _kill(step, undisturbed(step), iter(POINTS[step]), len(POINTS[step]), "points")


def _kill(step: str, whole: Whole, faults: Iterable[Fault], count: int, what: str) -> Seen:
    """Run, be killed and run again, over and over; training that goes on counts when it came to its end."""
    kills, wrong, room = 0, [], whole.room
    shutil.rmtree(room.out, ignore_errors=True)
    for fault in faults:
        ended = run_apart(step, room, fault)
        if ended.code == -signal.SIGKILL:
            kills += 1
            wrong += [f"kill {kills} at {fault}: {name} is partial" for name in whole.partial()]
        elif ended.code == 0 and what == "moments":
            wrong += _lost(whole, f"after {kills} kills")
            shutil.rmtree(room.out)  # it ended before its moment came: the next one begins anew
        else:
            wrong.append(f"{fault}: exit {ended.code} {ended.text[-300:]}")
        if step != "train" or kills == count:
            again = run_apart(step, room)
            wrong += [f"run again: {again.text[-300:]}"] * (again.code != 0) + _lost(whole, f"kill {kills} at {fault}")
            if kills % 2:  # others begin over an earlier result
                shutil.rmtree(room.out)
        if kills == count or len(wrong) > 5:
            break
    shutil.rmtree(room.out, ignore_errors=True)
    good = f"{kills} of {count} {what}: same bytes, 0 bytes lost"
    return Seen(int(bool(wrong)), "\n".join(wrong) if wrong else good)


def _lost(whole: Whole, when: str) -> list[str]:
    return [f"{when}, then run again: {name} is another" for name in whole.lost()]


tiling, training, prediction = (partial(moments, step, 20) for step in ("tile", "train", "predict"))
tiling_few, training_few, prediction_few = (partial(moments, step, 2) for step in ("tile", "train", "predict"))
tiling_points, training_points, prediction_points = (partial(points, step) for step in ("tile", "train", "predict"))
