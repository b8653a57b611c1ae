"""The web API in a process of its own: what is bad for it must harm nobody who asks at the same time or later."""

import atexit
import contextlib
import io
import os
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.serving import serving
from tests.pictures import save_weights
from tests.reliability.inputs.api import GOOD_PICTURE
from tests.reliability.steps import Seen
from tests.reliability.wire import PATH, Answer, Request, form, head, part, send

LIMITS = ("SERVE.MEGAPIXELS", "1", "SERVE.MEGABYTES", "1", "SERVE.UPLOAD_SECONDS", "1")
LEAKS = ("Traceback", 'File "', str(Path(__file__).resolve().parents[3]), tempfile.gettempdir())
HARMED = 0  # in place of a status
HEALTH, AT_REST = Request((head("GET", "/health"),)), b'{"status":"ok","in_work":0}'
GOOD = form(part(GOOD_PICTURE), path=f"{PATH}?form=mask")


class Server:
    """An API with small limits, what it answers to a good request, and the files it has open then."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        atexit.register(self._stack.close)
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        weights = save_weights(Path(folder) / "weights")
        self.address, process = self._stack.enter_context(serving(weights.parent, *LIMITS))
        self.pid = process.pid
        self.good = [send(self.address, GOOD) for _ in range(3)][-1]  # the first ones load libraries
        self.handles = self.count_handles()

    def close(self) -> None:
        """End it."""
        self._stack.close()

    def count_handles(self) -> int:
        """Files and connections that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def harm(self) -> str:
        """What is not as before, or an empty text."""
        answer = send(self.address, GOOD)
        if answer != self.good:
            return f"a good request now gets {answer.status} and {len(answer.content)} bytes"
        for _ in range(100):
            if self.count_handles() <= self.handles and send(self.address, HEALTH).content == AT_REST:
                return ""
            time.sleep(0.05)
        return f"{self.count_handles()} handles are open in place of {self.handles}, or a place in the queue is taken"


server = cache(Server)


def ask(folder: Path, request: Request) -> Seen:
    """Send a request; others must be answered while it is on its way, and as before when it is done."""
    harm: list[str] = []

    def meanwhile() -> None:
        if request.pause and send(server().address, GOOD) != server().good:
            harm.append("a good request was not answered meanwhile")

    answer = send(server().address, request, meanwhile)
    text = describe(answer)
    harm += [f"the answer shows {leak}" for leak in LEAKS if leak in text]
    harm += [found for found in [server().harm()] if found]
    return Seen(HARMED, f"{'; '.join(harm)} ({answer.status} {text})") if harm else Seen(answer.status, text)


def describe(answer: Answer) -> str:
    """An answer in words: its text, or what its mask is."""
    if not answer.content.startswith(b"\x89PNG"):
        return answer.content.decode(errors="replace")
    if answer == server().good:
        return "the mask of the good picture"
    mask = np.asarray(Image.open(io.BytesIO(answer.content)))
    return f"a mask of {mask.shape[0]} x {mask.shape[1]}, {np.count_nonzero(mask)} pixels in it"
