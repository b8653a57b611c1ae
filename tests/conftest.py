import logging
import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads only slow such small networks down


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
