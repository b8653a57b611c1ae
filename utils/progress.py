"""Progress of a long loop: a bar on a terminal, a sparse line in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
log = logging.getLogger(__name__)


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield `items` and show how far the loop is and when it will end."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, leave=False, dynamic_ncols=True)
    else:
        yield from _track_in_lines(items, label, total, seconds_between_lines=30.0)


def _track_in_lines(items: Iterable[Item], label: str, total: int, seconds_between_lines: float) -> Iterator[Item]:
    begun = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= seconds_between_lines and done < total:
            last = now
            log.info("%s: %d of %d, about %.0f s left", label, done, total, (now - begun) / done * (total - done))
