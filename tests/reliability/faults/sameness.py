"""The same bytes from processes of another hash seed, with other numbers of workers and of cores."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.reliability.faults.apart import undisturbed
from tests.reliability.steps import Seen

ROOT = Path(__file__).resolve().parents[3]
RUN = """
import json, sys
from pathlib import Path
from tests.reliability.faults.apart import APART
from tests.reliability.room import Room
seen = APART[sys.argv[1]](Room(Path(sys.argv[2]), json.loads(sys.argv[3])))
print(seen.text)
sys.exit(seen.code)
"""


def varied(step: str, folder: Path) -> Seen:
    """Run a step with the hash seeds and workers 0, 1 and 2, the first on one core."""
    whole, wrong, cores = undisturbed(step), [], sorted(os.sched_getaffinity(0))
    for number in range(3):
        options = {"SOLVER.NUM_WORKERS": number} if step == "train" else {}
        command = [sys.executable, "-c", RUN, step, str(whole.room.folder), json.dumps(options)]
        own = cores[:1] if number == 0 else cores
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            preexec_fn=partial(os.sched_setaffinity, 0, own),
            check=False,
        )
        of_options = {"config.yaml", "report.html"} if options else set()
        wrong += [f"seed {number}: {done.stdout[-500:]} {done.stderr[-500:]}"] * (done.returncode != 0)
        wrong += [f"seed {number}: {name} is another" for name in whole.lost() if name not in of_options]
        shutil.rmtree(whole.room.out, ignore_errors=True)
    return Seen(int(bool(wrong)), "\n".join(wrong) or "3 of 3 hash seeds and numbers of workers: same bytes")


tiling, training, prediction = (partial(varied, step) for step in ("tile", "train", "predict"))
