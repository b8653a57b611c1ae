"""serve_net.py as a process: it says where it is, answers, and ends on a signal."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import serve_net
from tests.pictures import save_disc, save_weights

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_serves_until_a_signal_ends_it(number, code, tmp_path):
    weights = save_weights(tmp_path / "weights")
    save_disc(tmp_path / "a.png")
    words = ["TEST.MODEL_WEIGHTS_FOLDER", str(weights.parent), "SERVE.PORT", "0"]
    with subprocess.Popen([sys.executable, "serve_net.py", *words], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        address = re.search(r"serving on (http://127\.0\.0\.1:\d+),", process.stdout.readline())[1]
        with (tmp_path / "a.png").open("rb") as file:
            found = httpx.post(f"{address}/api/process_image", files={"image": file}, timeout=60)
        assert found.status_code == 200
        process.send_signal(number)
        assert process.wait(30) == code
        assert "Traceback" not in process.stderr.read()


def test_a_port_that_is_taken_exits_with_3(tmp_path, capsys):
    save_weights(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert serve_net.main(["TEST.MODEL_WEIGHTS_FOLDER", str(tmp_path), "SERVE.PORT", port]) == 3
    assert capsys.readouterr().err == f"error: Address already in use: 127.0.0.1:{port}\n"


def test_a_limit_that_cannot_work_exits_with_2(tmp_path, capsys):
    save_weights(tmp_path)
    options = ["SERVE.PORT", "70000", "SERVE.QUEUE", "0", "SERVE.MEGAPIXELS", "0"]
    assert serve_net.main(["TEST.MODEL_WEIGHTS_FOLDER", str(tmp_path), *options]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("SERVE.PORT is 70000", "SERVE.QUEUE is 0", "SERVE.MEGAPIXELS is 0.0"))
