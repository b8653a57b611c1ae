"""The web API on a real server on the loopback address, for tests."""

import threading
import time
from contextlib import contextmanager

from apps.api import build_app
from apps.api_server import build_server
from apps.segmenter import build_segmenter
from config import load_cfg
from serve_net import listen


@contextmanager
def running(weights, *options, change=None):
    """The address of an API of a weights file; `change` may put another segmenter in place of the real one."""
    cfg = load_cfg(options=["TEST.MODEL_WEIGHTS_FOLDER", str(weights), *options])
    segmenter = build_segmenter(cfg)
    app = build_app(cfg, change(segmenter) if change else segmenter)
    with listen("127.0.0.1", 0) as listening:
        server = build_server(app, cfg.SERVE.UPLOAD_SECONDS)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield "http://127.0.0.1:{1}".format(*listening.getsockname())
        finally:
            server.should_exit = True
            thread.join()
