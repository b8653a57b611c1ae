"""The web API under good and bad requests at once: python -m tests.reliability.faults.api_load [--seconds 60].

The requests are those of the matrix, in a seeded mix of which half are good. 1 if an answer is not the promised one, or
if memory or open files grow. The last line is JSON.
"""

import argparse
import importlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving import memory_mb
from tests.reliability.faults.api import GOOD, Server
from tests.reliability.steps import Seen
from tests.reliability.wire import Request, send

SHORT_S, LONG_S = 3.0, 60.0
TOO_MANY = 429  # what the API may answer to any request that it has no place for
NOTED_S = 0.25  # between two looks at memory and open files
MOST_MB, MOST_HANDLES = 16, 4  # by which the last quarter may be above the first; clients come and go meanwhile


@dataclass(frozen=True)
class Sent:
    """A request that was answered: which, what was promised, what came, after how many seconds."""

    name: str
    promised: int
    status: int
    took: float

    @property
    def is_right(self) -> bool:
        """Whether the answer is the promised one."""
        return self.status in (self.promised, TOO_MANY)


def short(folder: Path) -> Seen:
    """A few seconds, as a test."""
    return seen(SHORT_S)


def minute(folder: Path) -> Seen:
    """A minute of it."""
    return seen(LONG_S)


def seen(seconds: float) -> Seen:
    """0 and the figures if all was as promised."""
    figures = load(seconds)
    return Seen(int(bool(figures["wrong"])), json.dumps(figures))


def load(seconds: float, clients: int = 6, seed: int = 0) -> dict:
    """Figures of several clients that send one request after the other; `wrong` names what is not as promised."""
    server, requests, over = Server(), matrix_requests(), threading.Event()
    notes: list[tuple[int, int]] = []

    def note() -> None:
        while not over.wait(NOTED_S):
            notes.append((memory_mb(server.pid), server.count_handles()))

    def client(number: int) -> list[Sent]:
        rng, end, sent = np.random.default_rng([seed, number]), time.monotonic() + seconds, []
        while time.monotonic() < end:
            is_good = rng.random() < 0.5
            sent.append(ask(server, *(("good", GOOD, 200) if is_good else requests[rng.integers(len(requests))])))
        return sent

    with ThreadPoolExecutor(clients + 1) as pool:
        noting, begun = pool.submit(note), time.monotonic()
        sent = [each for one in list(pool.map(client, range(clients))) for each in one]
        took = time.monotonic() - begun
        over.set()
        noting.result()
    harm = server.harm()
    server.close()
    return figures_of(sent, notes, took, harm)


def matrix_requests() -> list[tuple[str, Request, int]]:
    """Name, request and promised status of each row of the matrix that asks the API."""
    from tests.reliability.matrix import load_matrix

    inputs = importlib.import_module("tests.reliability.inputs.api")
    rows = [case for case in load_matrix() if case.run == "api.ask"]
    return [(case.name, getattr(inputs, case.make.split(".")[1])(*case.given), case.code) for case in rows]


def ask(server: Server, name: str, request: Request, promised: int) -> Sent:
    """Send a request; a good one whose answer is not the known one has the status 0."""
    begun = time.monotonic()
    answer = send(server.address, request)
    is_wrong = request is GOOD and answer.status == promised and answer != server.good
    return Sent(name, promised, 0 if is_wrong else answer.status, time.monotonic() - begun)


def figures_of(sent: Sequence[Sent], notes: Sequence[tuple[int, int]], took: float, harm: str) -> dict:
    """What is told of a run; memory in MB and open files are medians of its first and its last quarter."""
    good = [each.took for each in sent if each.name == "good" and each.status == each.promised]
    quarter = max(1, len(notes) // 4)
    first, last = (np.median(part, axis=0).tolist() for part in (notes[:quarter], notes[-quarter:]))
    wrong = sorted({f"{each.name}: {each.status} in place of {each.promised}" for each in sent if not each.is_right})
    wrong += ["memory grew"] * (last[0] > first[0] + MOST_MB) + ["open files grew"] * (
        last[1] > first[1] + MOST_HANDLES
    )
    return {
        "requests": len(sent),
        "good": len(good),
        "per_second": round(len(sent) / took, 1),
        "p50_s": round(float(np.quantile(good, 0.5)), 3),
        "p99_s": round(float(np.quantile(good, 0.99)), 3),
        "statuses": {str(status): count for status, count in sorted(Counter(each.status for each in sent).items())},
        "memory_mb": [first[0], last[0]],
        "handles": [first[1], last[1]],
        "wrong": wrong + ([harm] if harm else []),
    }


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Send good and bad requests to the web API at once.")
    parser.add_argument("--clients", type=int, default=6, help="requests that are sent at once")
    parser.add_argument("--seconds", type=float, default=LONG_S, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of the mix")
    args = parser.parse_args(argv)
    figures = load(args.seconds, args.clients, args.seed)
    sys.stdout.write(json.dumps(figures) + "\n")
    return int(bool(figures["wrong"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
