import errno
import os
from pathlib import Path

import pytest

from utils.atomic import atomic_path, clear_drafts, sync_folder, without_drafts, write_bytes, write_text


class InterruptedRunError(Exception):
    pass


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_nothing_else_stays(tmp_path):
    with atomic_path(tmp_path / "a.txt") as draft:
        draft.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def interrupt(path):
    with atomic_path(path) as draft:
        draft.write_text("half")
        raise InterruptedRunError


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(InterruptedRunError):
        interrupt(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(InterruptedRunError):
        interrupt(tmp_path / "a.txt")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["map", "replaced", "map~"])
def test_a_folder_replaces_the_old_one_whole(tmp_path, name):
    for number in (1, 2):
        with atomic_path(tmp_path / name) as draft:
            draft.mkdir()
            (draft / f"{number}.bin").write_text("x")
    assert names(tmp_path) == [name]
    assert names(tmp_path / name) == ["2.bin"]


def test_missing_parents_are_made_and_the_ending_is_kept(tmp_path):
    with atomic_path(tmp_path / "a" / "b" / "c.tar.gz") as draft:
        assert draft.name == "c.tar.gz"
        draft.write_text("x")
    assert (tmp_path / "a" / "b" / "c.tar.gz").is_file()


def test_text_is_utf8_and_long_names_work(tmp_path):
    path = tmp_path / ("n" * 200 + ".txt")
    write_text(path, "µm")
    assert path.read_bytes() == b"\xc2\xb5m"


def test_drafts_of_one_path_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a.txt") as first, atomic_path(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a.txt").read_text() == "1"  # the outer block ends last


def test_what_killed_processes_left_is_cleared_and_nothing_else(tmp_path):
    mine = [".cache-12345678/kept.txt", ".venv-3/a", "maps/a.zarr/.a.zarr-12345678/a.zarr", "a.txt"]
    drafts = ["maps/.a.zarr-abcd_123/a.zarr/c/0", "maps/.a.zarr-abcd_123/a.zarr~/c/0", ".a.txt-12345678/a.txt"]
    drafts += [".b.png-12345678/.b.png-abcdefgh/b.png", ".c.safetensors-12345678/.tmpGYMSYQ"]
    for name in mine + drafts:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "maps" / ".a.csv-12345678").mkdir()
    clear_drafts(tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == sorted(mine)
    assert names(tmp_path / "maps") == ["a.zarr"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_is_told_of_by_the_final_name(tmp_path, number):
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match="full") as caught, atomic_path(path):
        raise OSError(number, "full")
    assert caught.value.filename == str(path)
    assert names(tmp_path) == []


def test_other_errors_keep_the_name_of_their_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()
    assert caught.value.filename == str(tmp_path / "other")


def test_bytes_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a.png", b"old")
    sync_folder(tmp_path)

    def full(*args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="full") as caught:
        write_bytes(tmp_path / "a.png", b"new")
    assert caught.value.filename == str(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


def test_a_signal_right_after_the_draft_has_a_place_leaves_none(tmp_path, monkeypatch):
    real = Path.mkdir

    def interrupted(self, *args, **options):
        real(self, *args, **options)
        if self.name.startswith("."):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == []


def test_drafts_that_others_leave_are_cleared_before_and_after_an_error(tmp_path):
    left = tmp_path / ".a.zarr-0123abcd" / "a.zarr"
    left.mkdir(parents=True)
    with pytest.raises(RuntimeError), without_drafts(tmp_path):  # noqa: PT012  what is left within is the point
        assert not left.exists()
        left.mkdir(parents=True)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
