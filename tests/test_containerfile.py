"""The Containerfile, which is built nowhere here: its instructions are read, and what they copy is run alone."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.pictures import save_disc, save_weights

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ["FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"]


@pytest.fixture(scope="module")
def steps():
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def copied(steps):
    return [source for name, rest in steps if name == "COPY" for source in rest.split()[:-1]]


def test_every_instruction_is_known_and_what_is_copied_exists(steps):
    assert {name for name, _ in steps} <= set(KNOWN)
    assert steps[0][0] == "FROM"
    assert all((ROOT / source).exists() for source in copied(steps))
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").split()
    assert not {source.rstrip("/") for source in copied(steps)} & set(ignored)


def test_what_is_installed_is_copied_before(steps):
    (install,) = [rest for name, rest in steps if name == "RUN" and rest.startswith("pip install")]
    files = re.findall(r"--(?:requirement|constraint) (\S+)", install)
    assert set(files) <= set(copied(steps[: steps.index(("RUN", install))]))


def test_it_runs_without_rights_and_listens_where_it_says(steps):
    found = dict(steps)
    assert int(found["USER"]) > 0
    assert found["EXPOSE"] == "8000"
    assert "127.0.0.1:8000/health" in found["HEALTHCHECK"]
    assert found["FROM"].endswith("python:3.11-slim")


def test_what_is_copied_is_all_that_the_entry_point_needs(steps, tmp_path):
    for source in copied(steps):
        target = tmp_path / "app" / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__", "datasets"))
        else:
            shutil.copy(ROOT / source, target)
    save_weights(tmp_path / "weights")
    save_disc(tmp_path / "a.png")
    entry = json.loads(dict(steps)["ENTRYPOINT"])
    assert entry[0] == "python"
    words = [sys.executable, *entry[1:]]
    words[words.index("/weights")], words[words.index("0.0.0.0")] = str(tmp_path / "weights"), "127.0.0.1"
    with subprocess.Popen([*words, "SERVE.PORT", "0"], cwd=tmp_path / "app", stdout=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
            picture = {"image": (tmp_path / "a.png").read_bytes()}
            assert httpx.post(f"{address}/api/process_image", files=picture, timeout=60).status_code == 200
        finally:
            process.terminate()
