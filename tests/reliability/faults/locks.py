"""Two runs at a time: on one output the second is refused, on two outputs both go on."""

import shutil
import signal
import time
from functools import partial
from pathlib import Path

from tests.reliability.faults.apart import Fault, begin, furnish_all, products, run_apart, undisturbed
from tests.reliability.steps import Seen

SECONDS = 2.0  # within which the second one is refused
OF_PLACES = {"config.yaml", "report.html"}  # they say where the output lies
HELD = {"tile": "tiles.json", "train": "training_state/fold0.safetensors", "predict": "masks/left.tiff"}


def refused(step: str, folder: Path) -> Seen:
    """Stop a run in its middle, start a second one, kill the first, start a third."""
    whole = undisturbed(step)
    first = begin(step, whole.room, Fault(f"os.rename .*{HELD[step]}", number=signal.SIGSTOP))
    first.await_signal()
    seconds, tries = SECONDS + 1, 3  # of which one may be told in time: a machine has other work as well
    while seconds > SECONDS and tries:
        begun, tries = time.monotonic(), tries - 1
        second = run_apart(step, whole.room)
        seconds = time.monotonic() - begun
    first.process.kill()
    first.wait()
    third = run_apart(step, whole.room)
    lost = whole.lost()
    shutil.rmtree(whole.room.out, ignore_errors=True)
    if seconds > SECONDS or f"{whole.room.out}: process {first.process.pid} on" not in second.text:
        return Seen(-1, f"after {seconds:.1f} s: {second.text}")
    return Seen(second.code, second.text if third.code == 0 and not lost else f"{third.text[-500:]} {lost}")


def side_by_side(step: str, folder: Path) -> Seen:
    """Run a step in two places at once."""
    whole, room = undisturbed(step), furnish_all(folder)
    first, second = begin(step, whole.room), begin(step, room)
    codes = {first.wait().code, second.wait().code}
    lost, other = whole.lost(), products(room.out)
    shutil.rmtree(whole.room.out, ignore_errors=True)
    unlike = [name for name in whole.final if other.get(name) != whole.final[name] and name not in OF_PLACES]
    if lost or unlike:
        return Seen(1, f"another result: {lost} {unlike}")
    return Seen(max(codes), "two runs side by side: same bytes")


tiling, training, prediction = (partial(refused, step) for step in HELD)
two_tilings, two_predictions = (partial(side_by_side, step) for step in ("tile", "predict"))
