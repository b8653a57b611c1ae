import hashlib
import io
import random
import tarfile
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps import fetch_data
from apps.fetch_data import main

FILES = {"Task/imagesTr/a.nii.gz": b"voxels" * 1000, "Task/dataset.json": b"{}"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


class BreaksOff(BaseHTTPRequestHandler):
    """Says more than it gives."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *words):
        pass


@pytest.fixture
def serve():
    """Starts a server on this machine alone; gives its address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def make_tar(path, files=FILES, extra=(), mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return path


def member(name, kind, target=""):
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_file_at_an_address_is_fetched_checked_and_unpacked(tmp_path, serve, mode):
    (tmp_path / "site").mkdir()
    tar = make_tar(tmp_path / "site" / "task.tar", mode=mode)
    address = f"{serve(partial(Quiet, directory=str(tar.parent)))}/task.tar"
    assert main([address, str(tmp_path / "data" / "set"), "--sha256", sha256(tar).upper()]) == 0
    assert content(tmp_path / "data" / "set") == FILES
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"]


def test_a_tar_file_or_a_folder_of_this_machine_will_do(tmp_path):
    tar = make_tar(tmp_path / "task.tar.gz", mode="w:gz")
    assert main([str(tar), str(tmp_path / "one")]) == 0
    assert main([str(tmp_path / "one"), str(tmp_path / "other")]) == 0
    assert content(tmp_path / "one") == content(tmp_path / "other") == FILES


def refused(tmp_path, capsys, source, *options):
    """What is said of a source that is refused, of which nothing stays behind."""
    before = content(tmp_path)
    assert main([str(source), str(tmp_path / "data"), *options]) == 2
    assert content(tmp_path) == before
    assert not (tmp_path / "data").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    return capsys.readouterr().err


def test_another_checksum_is_refused(tmp_path, capsys):
    tar = make_tar(tmp_path / "task.tar")
    said = refused(tmp_path, capsys, tar, "--sha256", "0" * 64)
    assert f"has the SHA-256 {sha256(tar)}, not 000" in said


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "Task/../../evil", "a\\..\\evil", "C:/evil"])
def test_a_path_outside_is_refused(tmp_path, capsys, name):
    assert "lies outside the folder" in refused(tmp_path, capsys, make_tar(tmp_path / "t.tar", {**FILES, name: b"x"}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, capsys, kind):
    tar = make_tar(tmp_path / "t.tar", extra=[member("Task/link", kind, "../../etc/passwd")])
    assert "'Task/link', which is a link or a device" in refused(tmp_path, capsys, tar)


def test_a_name_that_comes_twice_is_refused(tmp_path, capsys):
    tar = make_tar(tmp_path / "t.tar")
    with tarfile.open(tar, "a") as archive:
        archive.addfile(tarfile.TarInfo("Task/dataset.json"))
    assert "'Task/dataset.json' twice" in refused(tmp_path, capsys, tar)


def test_more_than_the_limit_is_refused_packed_or_unpacked(tmp_path, capsys, serve):
    site = tmp_path / "site"
    site.mkdir()
    make_tar(site / "bomb.tar.gz", {"zeros": bytes(10**6)}, mode="w:gz")
    make_tar(site / "large.tar", {"zeros": bytes(10**6)})
    address = serve(partial(Quiet, directory=str(site)))
    assert "unpacks to 1000000 bytes" in refused(tmp_path, capsys, site / "bomb.tar.gz", "--limit-gb", "0.0001")
    assert "--limit-gb allows 100000" in refused(tmp_path, capsys, f"{address}/large.tar", "--limit-gb", "0.0001")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "zeros").write_bytes(bytes(10**6))
    assert "holds 1000000 bytes" in refused(tmp_path, capsys, folder, "--limit-gb", "0.0001")


def test_too_many_files_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch_data, "MOST_FILES", 1)
    assert "in 2 files" in refused(tmp_path, capsys, make_tar(tmp_path / "t.tar"))


def test_a_file_that_is_cut_short_or_no_tar_is_refused(tmp_path, capsys):
    for ending in ("gz", "xz", "bz2"):
        tar = make_tar(
            tmp_path / f"task.tar.{ending}", {"noise": random.Random(0).randbytes(50_000)}, mode=f"w:{ending}"
        )
        whole = tar.read_bytes()
        tar.write_bytes(whole[:-5000])
        assert f"task.tar.{ending} " in refused(tmp_path, capsys, tar)
        tar.write_bytes(whole[:20_000] + b"damaged!" + whole[20_008:])
        assert f"task.tar.{ending} " in refused(tmp_path, capsys, tar)
    (tmp_path / "other.tar").write_bytes(b"no tar" * 1000)
    assert "is no tar file" in refused(tmp_path, capsys, tmp_path / "other.tar")
    assert "is neither an http(s) address nor a file" in refused(tmp_path, capsys, tmp_path / "nothing")


def test_links_in_a_folder_are_refused(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to("/etc")
    assert "holds link, which is a link" in refused(tmp_path, capsys, tmp_path / "source")


def test_an_answer_that_is_missing_or_breaks_off_is_an_error(tmp_path, capsys, serve):
    address = serve(partial(Quiet, directory=str(tmp_path)))
    assert "cannot be fetched (File not found)" in refused(tmp_path, capsys, f"{address}/none.tar")
    assert "broke off" in refused(tmp_path, capsys, f"{serve(BreaksOff)}/task.tar")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    tar = make_tar(tmp_path / "task.tar")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("kept", encoding="utf-8")
    assert main([str(tar), str(tmp_path / "data")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert content(tmp_path / "data") == {"mine": b"kept"}
