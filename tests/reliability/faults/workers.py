"""Processes that help, killed. Only training has any, to load patches; tiling and prediction work in threads."""

import shutil
from dataclasses import replace
from pathlib import Path

from tests.reliability.faults.apart import Fault, run_apart, undisturbed
from tests.reliability.steps import Seen

OF_OPTIONS = {"config.yaml", "report.html"}  # they say how many processes there were


def loader_killed(folder: Path) -> Seen:
    """Kill a process that loads patches in the middle of an epoch, then go on."""
    whole = undisturbed("train")
    room = replace(whole.room, options={"SOLVER.NUM_WORKERS": 1})
    in_epoch = Fault("os.rename training_state/fold0.safetensors", nth=2, worker=True)
    ended, partial = run_apart("train", room, in_epoch), [name for name in whole.partial() if name not in OF_OPTIONS]
    again = run_apart("train", room)
    lost = [name for name in whole.lost() if name not in OF_OPTIONS]
    shutil.rmtree(room.out, ignore_errors=True)
    if partial or lost or again.code or "Traceback" in ended.text:
        return Seen(-1, f"{partial} {lost} {ended.text[-800:]} {again.text[-500:]}")
    return ended.seen
