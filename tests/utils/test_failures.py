import errno
import logging

import pytest

from utils.failures import Failure, Failures
from utils.tables import read_table


@pytest.mark.parametrize("error", [ValueError("bad value"), OSError("bad file"), MemoryError("too large")])
def test_an_error_of_one_case_is_noted_and_the_next_goes_on(error):
    failures, done = Failures(), []
    for case, trouble in (("a", error), ("b", None)):
        with failures.guard(case, f"{case}.tif"):
            if trouble:
                raise trouble
            done.append(case)
    assert done == ["b"]
    assert failures.rows == [Failure("a", "a.tif", str(error))]
    assert failures.ids == {"a"}


def test_an_error_without_words_is_named_by_its_kind():
    failures = Failures()
    with failures.guard("a", "a.tif"):
        raise MemoryError
    assert failures.rows[0].message == "MemoryError"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_ends_the_run(number):
    failures = Failures()
    with pytest.raises(OSError, match="full"), failures.guard("a", "a.tif"):
        raise OSError(number, "full")
    assert not failures.rows


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), PermissionError(errno.EACCES, "no"), KeyboardInterrupt()]
)
def test_trouble_of_the_machine_or_a_stop_ends_the_run(error):
    failures = Failures()
    with pytest.raises(type(error)), failures.guard("a", "a.tif"):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyError("x"), FileNotFoundError("gone")])
def test_any_other_error_of_a_case_leaves_the_others_alone(error):
    failures = Failures()
    with failures.guard("a", "a.tif"):
        raise error
    assert failures.ids == {"a"}


def test_every_failure_is_one_line_of_the_log_and_of_the_table(tmp_path, caplog):
    with caplog.at_level(logging.ERROR):
        failures = Failures([Failure("001", "001.tif", "is damaged, really")])
        failures.add(Failure("NA", "train.csv", "line 3 repeats this id"))
    assert len(caplog.records) == 2
    assert "001.tif" in caplog.text
    failures.write(tmp_path / "failures.csv")
    rows = read_table(tmp_path / "failures.csv", ["id", "file", "message"]).to_dict("records")
    assert [row["id"] for row in rows] == ["001", "NA"]
    assert rows[0] == {"id": "001", "file": "001.tif", "message": "is damaged, really"}


def test_without_failures_the_table_is_its_header(tmp_path):
    Failures().write(tmp_path / "failures.csv")
    assert (tmp_path / "failures.csv").read_text() == "id,file,message\n"


def test_a_run_whose_first_file_was_removed_ends_at_the_next_case(tmp_path):
    begun = tmp_path / "run" / "config.yaml"
    begun.parent.mkdir()
    begun.touch()
    failures = Failures(begun=begun)
    with failures.guard("a", "a.tif"):
        pass
    begun.rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="was removed") as ended, failures.guard("b", "b.tif"):
        begun.touch()  # another run has begun there
    assert ended.value.filename == str(begun.parent)
    with pytest.raises(FileNotFoundError), failures.guard("c", "c.tif"):
        raise ValueError("bad")
    assert not failures.rows
