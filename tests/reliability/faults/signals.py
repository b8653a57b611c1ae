"""Runs that are told to stop, by SIGTERM or as by Ctrl-C, and are run again."""

import random
import shutil
import signal
from functools import partial
from pathlib import Path

from tests.reliability.faults.apart import Fault, drafts, run_apart, undisturbed
from tests.reliability.steps import Seen

SECONDS = 10.0  # within which a run must end


def stopped(step: str, number: signal.Signals, count: int, folder: Path) -> Seen:
    """Send a signal at so many moments, each of a new run, and run again."""
    whole, chance, wrong, longest = undisturbed(step), random.Random(int(number)), [], 0.0
    room, code = whole.room, 128 + number
    for moment in range(count):
        part = whole.touches // count
        fault = Fault(nth=part * moment + chance.randint(1, part - 8), number=number)
        ended = run_apart(step, room, fault)
        longest = max(longest, ended.seconds)
        if ended.code != code or "Traceback" in ended.text:
            wrong.append(f"{fault}: exit {ended.code} {ended.text[-800:]}")
        wrong += [f"{fault}: {name} is left" for name in [*whole.partial(), *drafts(room.out)]]
        again = run_apart(step, room)
        wrong += [f"run again: {again.text[-500:]}"] * (again.code != 0)
        wrong += [f"{fault}, then run again: {name} is another" for name in whole.lost()]
        shutil.rmtree(room.out)
    if longest > SECONDS:
        wrong.append(f"took {longest:.1f} s to end")
    good = f"{count} of {count} moments: ended within {SECONDS:.0f} s, no draft left, same bytes when run again"
    return Seen(-1, "\n".join(wrong)) if wrong else Seen(code, good)


TERM, INT = signal.SIGTERM, signal.SIGINT
tiling_term, tiling_int = (partial(stopped, "tile", number, 2) for number in (TERM, INT))
prediction_term, prediction_int = (partial(stopped, "predict", number, 2) for number in (TERM, INT))
training_term, training_int = (partial(stopped, "train", number, 1) for number in (TERM, INT))
