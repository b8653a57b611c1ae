import pytest

from utils.atomic import atomic_path, write_text


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
