"""The loop: batches of mutated seeds until the time is over; what is found is kept once for each kind."""

import hashlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.fuzz.children import Finding, Input, try_inputs
from tests.reliability.fuzz.mutations import mutate
from tests.reliability.fuzz.targets import Target

BATCH = 100  # inputs of one child


@dataclass
class Tally:
    """How many inputs of a target were tried, and how often each kind of trouble was found."""

    target: str
    inputs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"{self.target}: {self.inputs} inputs, {self.kinds.total()} findings of {len(self.kinds)} kinds"


def make_input(target: Target, seed: int, number: int) -> Input:
    """An input, always the same for the same numbers."""
    rng = random.Random(f"{target.name} {seed} {number}")
    return Input(number, *mutate(rng, target.seeds()))


def fuzz(target: Target, seed: int, seconds: float, folder: Path, batch: int = BATCH) -> Tally:
    """Try inputs for so long, at least one batch; findings go to `folder`."""
    tally, deadline = Tally(target.name), time.monotonic() + seconds
    while tally.inputs == 0 or time.monotonic() < deadline:
        inputs = [make_input(target, seed, tally.inputs + place) for place in range(batch)]
        for finding in try_inputs(target, inputs):
            if finding.kind not in tally.kinds:
                _keep(finding, folder / target.name, seed)
            tally.kinds[finding.kind] += 1
        tally.inputs += batch
    return tally


def _keep(finding: Finding, folder: Path, seed: int) -> None:
    """Keep the input, and what is known of it beside."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(finding.kind.encode()).hexdigest()[:12]
    path.with_suffix(finding.input.seed.ending).write_bytes(finding.input.data)
    about = f"{finding.kind}\nseed {seed}, number {finding.input.number}, cut only: {finding.input.is_cut}\n\n"
    path.with_suffix(".txt").write_text(about + finding.text, errors="backslashreplace")
