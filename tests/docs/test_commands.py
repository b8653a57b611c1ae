import re
import shlex
from pathlib import Path

import pytest

from config import load_cfg, parse_args
from config.check import check_cfg
from config.defaults import _C
from config.load import all_keys

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SCRIPTS = {"tiles_creator.py", "train_net.py", "test_net.py", "export_net.py", "serve_net.py"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*\bsrc=\"([^\"]+)\"|<a[^>]*\bhref=\"([^\"]+)\"")
OPTION = re.compile(r"\b(?:DATASETS|TILES|INPUT|AUGMENTATION|MODEL|SOLVER|TEST|SERVE)\.[A-Z][A-Z0-9_]*\b")
LAUNCHER = re.compile(r"^(?:accelerate launch|torchrun)\b[^\n]*?(?=\w+\.py\b)")  # what starts a script several times
CONFIG_FILE = re.compile(r"\bconfig/experiments/\w+\.yaml\b")
DRY = ("tiles_creator.py", "train_net.py", "test_net.py")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def commands(page: Path, program: str) -> list[list[str]]:
    lines = [line for _, text in blocks(page) for line in text.replace("\\\n", " ").splitlines()]
    lines += CODE.findall(prose(page))
    lines = [LAUNCHER.sub("python ", line.strip().removeprefix("$ ")) for line in lines]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{program} ")]


def script_of(words: list[str]) -> tuple[Path, list[str]]:
    """The script that a python command names, and its arguments."""
    if words[0] == "-m":
        module = ROOT / words[1].replace(".", "/")
        return module / "__main__.py" if module.is_dir() else module.with_suffix(".py"), words[2:]
    return ROOT / words[0], words[1:]


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.fixture(params=PAGES, ids=name_of)
def page(request) -> Path:
    return request.param


def test_every_python_command_names_an_existing_script(page):
    assert [words for words in commands(page, "python") if not script_of(words)[0].is_file()] == []


def test_every_option_and_config_file_of_a_command_is_accepted(page):
    for words in commands(page, "python"):
        script, arguments = script_of(words)
        if script.name in SCRIPTS:
            args = parse_args(arguments, "", resumable=script.name == "train_net.py", dry=script.name in DRY)
            is_shipped = args.config_file and not args.config_file.startswith("output/")  # or one that a run left
            config_file = str(ROOT / args.config_file) if is_shipped else ""
            check_cfg(load_cfg(config_file, args.options))


def test_every_flag_of_another_command_is_known_to_its_script(page):
    for words in commands(page, "python"):
        script, arguments = script_of(words)
        flags = [word for word in arguments if word.startswith("--") and script.name not in SCRIPTS]
        assert [flag for flag in flags if f'"{flag}"' not in script.read_text(encoding="utf-8")] == []


def test_every_make_target_exists(page):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert [words for words in commands(page, "make") if not set(words) <= targets] == []


def test_every_option_named_exists(page):
    assert set(OPTION.findall(page.read_text(encoding="utf-8"))) - {key for key, _ in all_keys(_C)} == set()


def test_every_config_file_named_exists_and_can_work(page):
    for config_file in set(CONFIG_FILE.findall(page.read_text(encoding="utf-8"))):
        check_cfg(load_cfg(str(ROOT / config_file)))


def test_every_yaml_shown_is_a_config_that_can_work(page, tmp_path):
    for language, text in blocks(page):
        if language == "yaml":
            (tmp_path / "shown.yaml").write_text(text, encoding="utf-8")
            check_cfg(load_cfg(str(tmp_path / "shown.yaml")))


def test_every_python_snippet_compiles(page):
    for language, text in blocks(page):
        if language == "python":
            compile(text, name_of(page), "exec")


def test_every_relative_link_and_picture_exists(page):
    targets = ["".join(groups) for groups in LINK.findall(prose(page))]
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]
    missing = [t for t in relative if not (page.parent / t.split("#")[0] if t.split("#")[0] else page).exists()]
    assert missing == []
    for target in relative:
        path, _, anchor = target.partition("#")
        if anchor:
            text = ((page.parent / path) if path else page).read_text(encoding="utf-8")
            assert anchor in {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_no_page_names_a_path_of_a_machine(page):
    assert re.findall(r"(?<![\w.])/(?:home|work|tmp|root|Users|mnt)/", page.read_text(encoding="utf-8")) == []
