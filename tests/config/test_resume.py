import os
import subprocess
import sys

import pytest

from config import ConfigError, load_cfg, parse_args
from config.load import all_keys
from config.resume import MAY_DIFFER, STATES, check_same, choose_run, find_unfinished


def cfg_of(root, **options):
    words = [str(word) for pair in options.items() for word in pair]
    return load_cfg(options=["OUTPUT_DIR", str(root), *[word.replace("__", ".") for word in words]])


def make_run(root, name, finished=False, **options):
    """A run folder as training leaves it."""
    folder = root / name
    (folder / "weights").mkdir(parents=True)
    (folder / "config.yaml").write_text(cfg_of(root, RUN_NAME=name, **options).dump())
    if not finished:
        (folder / STATES).mkdir()
    return folder


def mistakes(cfg, resume):
    with pytest.raises(ConfigError) as caught:
        choose_run(cfg, resume)
    return caught.value.mistakes


def test_a_new_run_takes_its_name_and_goes_on_from_nothing(tmp_path):
    for resume in ("", "auto"):
        assert choose_run(cfg_of(tmp_path, RUN_NAME="a"), resume) == (tmp_path / "a", False)
    assert list(tmp_path.iterdir()) == []


def test_resuming_without_a_checkpoint_is_an_error(tmp_path):
    (mistake,) = mistakes(cfg_of(tmp_path, RUN_NAME="a"), "always")
    assert (
        mistake
        == f"--resume: there is no checkpoint in {tmp_path / 'a'}; --resume auto starts anew where there is none"
    )
    make_run(tmp_path, "done", finished=True)
    (mistake,) = mistakes(cfg_of(tmp_path), "always")
    assert f"no checkpoint in {tmp_path};" in mistake


def test_a_run_at_work_is_another_mistake_than_one_that_ended(tmp_path):
    hold = "import pathlib, sys; from config.lock import lock\nwith lock(pathlib.Path(sys.argv[1])): print(), input()"
    with subprocess.Popen(
        [sys.executable, "-uc", hold, str(make_run(tmp_path, "a"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert f"process {process.pid} on" in mistakes(cfg_of(tmp_path, RUN_NAME="a"), "")[0]
        process.kill()
    assert "holds a trained run" in mistakes(cfg_of(tmp_path, RUN_NAME="a"), "")[0]


def test_the_run_of_the_name_goes_on(tmp_path):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b")
    for resume in ("always", "auto"):
        assert choose_run(cfg_of(tmp_path, RUN_NAME="a"), resume) == (tmp_path / "a", True)


def test_without_a_name_the_newest_unfinished_run_goes_on(tmp_path):
    for age, name in enumerate(["b", "c", "a"]):
        state = make_run(tmp_path, name) / STATES
        os.utime(state, (1000 - age, 1000 - age))
    make_run(tmp_path, "done", finished=True)
    assert find_unfinished(cfg_of(tmp_path)) == tmp_path / "b"


@pytest.mark.parametrize("resume", ["", "always", "auto"])
def test_a_finished_run_is_not_overwritten(tmp_path, resume):
    make_run(tmp_path, "a", finished=True)
    (mistake,) = mistakes(cfg_of(tmp_path, RUN_NAME="a"), resume)
    assert mistake.startswith(f"RUN_NAME: {tmp_path / 'a'} holds a trained run; choose another name")
    assert "--resume" not in mistake


def test_an_unfinished_run_is_not_overwritten_either(tmp_path):
    make_run(tmp_path, "a")
    (mistake,) = mistakes(cfg_of(tmp_path, RUN_NAME="a"), "")
    assert mistake.endswith("; --resume goes on with it")


def test_a_checkpoint_of_another_config_names_every_key_that_differs(tmp_path):
    make_run(tmp_path, "a", SOLVER__LR=0.1)
    cfg = cfg_of(tmp_path, RUN_NAME="a", SOLVER__EPOCHS=7, SOLVER__NUM_WORKERS=0)
    for resume in ("always", "auto"):
        found = mistakes(cfg, resume)
        assert [line.split()[0] for line in found] == ["SOLVER.EPOCHS", "SOLVER.LR"]
        assert found[1].startswith("SOLVER.LR is 0.001, but the checkpoint in ")
        assert "was made with 0.1" in found[1]


def test_what_changes_no_result_may_differ(tmp_path):
    folder = make_run(tmp_path, "a")
    cfg = cfg_of(tmp_path / "elsewhere", RUN_NAME="b", SOLVER__NUM_WORKERS=0, SOLVER__CHECKPOINT_MINUTES=1)
    check_same(cfg, folder)


def test_a_damaged_config_of_a_run_is_named(tmp_path):
    (make_run(tmp_path, "a") / "config.yaml").write_text("SOLVER: [")
    assert "config.yaml cannot be read" in mistakes(cfg_of(tmp_path, RUN_NAME="a"), "always")[0]


def test_every_key_that_may_differ_exists():
    assert {key for key, _ in all_keys(load_cfg())} | set(load_cfg()) >= MAY_DIFFER


def test_options_of_a_group_that_may_differ_may_differ(tmp_path):
    make_run(tmp_path, "a")
    assert choose_run(cfg_of(tmp_path, RUN_NAME="a", **{"SERVE.PORT": 9}), "always") == (tmp_path / "a", True)


@pytest.mark.parametrize(
    ("words", "resume"),
    [
        ([], ""),
        (["--resume"], "always"),
        (["--resume", "auto"], "auto"),
        (["--resume=auto"], "auto"),
        (["--resume", "RUN_NAME", "a"], "always"),
        (["RUN_NAME", "a", "--resume", "auto", "SEED", "1"], "auto"),
        (["RUN_NAME", "a", "--resume", "--config-file", "x.yaml"], "always"),
    ],
)
def test_resume_stands_anywhere_and_takes_no_key_for_its_value(words, resume):
    args = parse_args(words, "", resumable=True)
    assert args.resume == resume
    assert args.options == [word for word in words if word in ("RUN_NAME", "a", "SEED", "1")]


def test_only_a_script_that_can_go_on_takes_resume(capsys):
    with pytest.raises(SystemExit):
        parse_args(["--resume"], "")
    assert "--resume" in capsys.readouterr().err
