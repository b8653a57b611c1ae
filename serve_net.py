"""Starts the web API: pictures in, overlays and masks out."""

import logging
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from config import parse_args, read_cfg
from config.check import check_cfg
from config.run import print_result, script, start_log

if TYPE_CHECKING:
    from fastapi import FastAPI


@script
def main(argv: Sequence[str]) -> int:
    """Serve the networks of TEST.MODEL_WEIGHTS_FOLDER until a signal ends it; returns the exit code."""
    args = parse_args(argv, "Serve the networks of a weights folder on SERVE.HOST and SERVE.PORT.")
    cfg, mistakes = read_cfg(args.config_file, args.options)
    check_cfg(cfg, ["TEST.MODEL_WEIGHTS_FOLDER"], mistakes)
    from apps.api import build_app
    from apps.segmenter import build_segmenter

    logging.getLogger().removeHandler(start_log())  # no run folder will take what it keeps, which would only grow
    app = build_app(cfg, build_segmenter(cfg))
    with listen(cfg.SERVE.HOST, cfg.SERVE.PORT) as listening:
        host, port = listening.getsockname()[:2]
        print_result(f"serving on http://{host}:{port}, described at http://{host}:{port}/docs")
        serve(app, listening, cfg.SERVE.UPLOAD_SECONDS)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError naming the address where there can be none."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise OSError(error.errno, (error.strerror or "").split(" (")[0], f"{host}:{port}") from error


def serve(app: "FastAPI", listening: socket.socket, seconds: float) -> None:
    """Answer on a socket until SIGINT or SIGTERM; what is in work then is finished."""
    from apps.api_server import build_server

    build_server(app, seconds).run([listening])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
