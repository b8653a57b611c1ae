import logging
import os
import signal
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads only slow such small networks down
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it runs in the background


@pytest.fixture(autouse=True)
def log_as_before():
    """Scripts set up the log of the whole process; take their handlers away again."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _one_draw_of_weights() -> None:
    """Networks start from the same weights in every run of the tests."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
