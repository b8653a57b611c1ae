import errno
import logging
import re
import signal
import sys
import time
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from config import ConfigError, load_cfg, run
from config.run import describe_environment, exit_code, print_result, run_name, script, start_run


def failing(error):
    @script
    def main(argv):
        raise error

    return main([])


def test_the_code_of_main_is_the_exit_code():
    assert script(lambda argv: len(argv))(["a", "b"]) == 2


def test_mistakes_of_the_config_exit_with_2_each_on_a_line(capsys):
    assert failing(ConfigError(["first", "second"])) == 2
    assert capsys.readouterr().err == "error: first\nerror: second\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM])
def test_trouble_of_the_machine_exits_with_3(capsys, number):
    assert failing(OSError(number, "some trouble", "/some/file")) == 3
    assert capsys.readouterr().err == "error: some trouble: /some/file\n"


def test_a_full_disk_without_a_name_says_so(capsys):
    assert failing(OSError(errno.ENOSPC, "No space left on device")) == 3
    assert "No space left on device: the output folder" in capsys.readouterr().err


def test_ctrl_c_exits_with_130(capsys):
    assert failing(KeyboardInterrupt()) == 130
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("k")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        failing(error)


def test_failed_cases_exit_with_1():
    assert exit_code([]) == 0
    assert exit_code({"a"}) == 1


def test_a_run_folder_explains_itself(tmp_path):
    cfg = load_cfg(options=["SOLVER.EPOCHS", "3"])
    folder = start_run(cfg, tmp_path / "deep" / "run")
    logging.getLogger("some.module").info("hello")
    print_result("Dice 0.5")
    assert load_cfg(str(folder / "config.yaml")) == cfg
    versions = (folder / "versions.txt").read_text()
    assert all(name in versions for name in ("commit ", "python 3", "machine ", "torch ", "numpy ", "tifffile "))
    log = (folder / "log.txt").read_text()
    assert "hello" in log
    assert log.endswith("Dice 0.5\n")


def test_the_config_of_a_named_run_starts_another_run(tmp_path):
    cfg = load_cfg(options=["SOLVER.EPOCHS", "3", "RUN_NAME", "mine"])
    start_run(cfg, tmp_path)
    again = load_cfg(str(tmp_path / "config.yaml"))
    assert again == load_cfg(options=["SOLVER.EPOCHS", "3"])
    assert run_name(again) != "mine"


def test_results_stand_bare_on_standard_output(tmp_path, capsys):
    start_run(load_cfg(), tmp_path)
    print_result("Dice 0.5")
    assert capsys.readouterr().out.splitlines()[-1] == "Dice 0.5"


def test_the_runs_name_is_the_one_asked_for_or_the_time():
    assert run_name(load_cfg(options=["RUN_NAME", "mine"])) == "mine"
    assert len(run_name(load_cfg())) == len("2026-01-01_10-00-00")


def test_a_library_that_is_not_installed_is_said_so(monkeypatch):
    monkeypatch.setattr("config.run.LIBRARIES", ("no-such-library",))
    assert describe_environment()[-1] == "no-such-library not installed"


def test_a_log_line_stands_above_an_open_bar_and_not_in_it(tmp_path, capsys):
    start_run(load_cfg(), tmp_path / "run")
    with tqdm(total=2, file=sys.stderr, ncols=60) as bar:
        logging.getLogger("any").info("a line")
        bar.update()
    out, err = capsys.readouterr()
    assert re.search(r"^\d\d:\d\d:\d\d INFO a line$", out, re.MULTILINE)
    assert "a line" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_after_a_signal_a_script_has_some_seconds_and_no_more(monkeypatch, number, code):
    left = []
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(run, "_leave", left.append)

    def slow(argv):
        try:
            signal.raise_signal(number)
        finally:
            time.sleep(0.5)  # a thread that is waited for

    try:
        ended = script(slow)([])
    except SystemExit as error:
        ended = error.code
    assert (ended, left) == (code, [number])


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, capsys):
    start_run(load_cfg(), tmp_path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    (file,) = [each for each in logging.getLogger().handlers if isinstance(each, logging.FileHandler)]
    with monkeypatch.context() as patch:
        patch.setattr(file, "stream", SimpleNamespace(write=full, flush=full))
        logging.getLogger("some.module").info("hello")
        run.print_result("12 tiles")
    said = capsys.readouterr()
    assert "hello" in said.out
    assert "12 tiles" in said.out
    assert "Traceback" not in said.err


def test_a_config_that_finds_no_room_is_named_and_leaves_no_draft(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run.os, "replace", full)
    with pytest.raises(OSError, match="No space left") as caught:
        start_run(load_cfg(), tmp_path)
    assert caught.value.filename == str(tmp_path / "config.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
