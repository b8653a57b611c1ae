"""The web API under load: python -m benchmarks.serving weights pictures [--clients 8] [--seconds 30].

It starts serve_net.py on a free port; each client sends one picture after the other. The last line is JSON.
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from apps.pictures import list_pictures

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 8  # requests before the clock begins: the first ones load libraries and fill pools
POINTS = 5  # times at which memory is noted
Seen = tuple[float, int]  # seconds that a request took, and the status of its answer


def main(argv: Sequence[str]) -> int:
    """Measure and print; 1 if any answer was not 200."""
    parser = argparse.ArgumentParser(description="Measure the web API under load.")
    parser.add_argument("weights", type=Path, help="folder of the weights")
    parser.add_argument("pictures", type=Path, help="folder of pictures to send")
    parser.add_argument("--clients", type=int, default=8, help="requests that are sent at once")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long")
    args = parser.parse_args(argv)
    pictures = [path.read_bytes() for path in list_pictures(args.pictures)]
    with serving(args.weights) as (address, process):
        figures = measure(address, process.pid, pictures, args.clients, args.seconds)
    print(json.dumps(figures))
    return int(set(figures["statuses"]) != {"200"})


@contextmanager
def serving(weights: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of serve_net.py in a process of its own, and the process."""
    words = ["serve_net.py", "TEST.MODEL_WEIGHTS_FOLDER", str(weights), "SERVE.PORT", "0", *options]
    with subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            found = next(filter(None, (re.search(r"http://[\d.]+:\d+", line) for line in process.stdout)), None)
            if found is None:
                raise RuntimeError("serve_net.py did not start")
            rest = threading.Thread(
                target=deque, args=(process.stdout, 0), daemon=True
            )  # or its log would fill the pipe
            rest.start()
            yield found[0], process
            process.terminate()
            rest.join()
        finally:
            process.terminate()
            process.wait()


def measure(address: str, pid: int, pictures: Sequence[bytes], clients: int, seconds: float) -> dict:
    """Requests a second, median and 99th percentile of their time in seconds, statuses, and memory in MB over time."""
    url = f"{address}/api/process_image"
    with httpx.Client() as client:
        for content in itertools.islice(itertools.cycle(pictures), WARM_UP):
            ask(client, url, content)
    begun, end, memory = time.monotonic(), time.monotonic() + seconds, [memory_mb(pid)]
    with ThreadPoolExecutor(clients) as pool:
        running = [
            pool.submit(send_until, end, url, pictures[number:] + pictures[:number]) for number in range(clients)
        ]
        for _ in range(POINTS):
            time.sleep(seconds / POINTS)
            memory.append(memory_mb(pid))
        seen = [each for client in running for each in client.result()]
    took = np.array([duration for duration, _ in seen])
    return {
        "requests": len(seen),
        "per_second": round(len(seen) / (time.monotonic() - begun), 2),
        "p50_s": round(float(np.quantile(took, 0.5)), 3),
        "p99_s": round(float(np.quantile(took, 0.99)), 3),
        "statuses": {str(status): count for status, count in Counter(status for _, status in seen).items()},
        "memory_mb": memory,
    }


def send_until(end: float, url: str, pictures: Sequence[bytes]) -> list[Seen]:
    """What one client sees that sends one picture after the other."""
    seen = []
    with httpx.Client(timeout=300) as client:
        for content in itertools.cycle(pictures):
            if time.monotonic() >= end:
                return seen
            seen.append(ask(client, url, content))
    return seen


def ask(client: httpx.Client, url: str, content: bytes) -> Seen:
    """Send one picture and wait for its overlay."""
    begun = time.monotonic()
    answer = client.post(url, files={"image": content}, timeout=300)
    return time.monotonic() - begun, answer.status_code


def memory_mb(pid: int) -> int:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return round(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
