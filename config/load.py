"""Reading of the config: defaults < --config-file < KEY VALUE."""

import argparse
import ast
import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from config.augmentation import AUGMENTATION_SETS
from config.defaults import _C
from config.yaml_text import MOST_CHARACTERS, load_yaml

LARGEST = 2**63  # whole numbers beyond it fit into no array
MOST_SHOWN = 200  # characters of a value in a message
Entry = tuple[str, object, str]  # dotted key, value and where it was given


class ConfigError(Exception):
    """What is wrong with a config or a command line: every mistake, one a line."""

    def __init__(self, mistakes: Sequence[str]):
        super().__init__("\n".join(mistakes))
        self.mistakes = list(mistakes)


@contextmanager
def config_mistakes() -> Iterator[None]:
    """Turn what the first look at data or weights finds wrong (ValueError, RuntimeError) into a ConfigError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ConfigError([str(error)]) from error


def parse_args(argv: Sequence[str], description: str, resumable: bool = False, dry: bool = False) -> argparse.Namespace:
    """The command line that all scripts share: --config-file, KEY VALUE pairs, on demand --resume and --dry-run."""
    parser = argparse.ArgumentParser(description=description)
    if dry:
        about = "check the config, list the cases and what is wrong with them, and write nothing"
        parser.add_argument("--dry-run", action="store_true", help=about)
    if resumable:
        about = "go on with the run that was stopped; with 'auto', start anew where there is none"
        choices = ["auto", "always"]
        parser.add_argument(
            "--resume", nargs="?", default="", const="always", choices=choices, metavar="auto", help=about
        )
        argv = _join_resume(argv)
    parser.add_argument("--config-file", default="", metavar="YAML", help="options that differ from config/defaults.py")
    parser.add_argument("options", nargs="*", metavar="KEY VALUE", help="options that overrule the file's")
    return parser.parse_intermixed_args(argv)


def _join_resume(argv: Sequence[str]) -> list[str]:
    """`--resume auto` as one word and a bare --resume last, so that it does not take a KEY for its value."""
    words = list(argv)
    if "--resume" not in words:
        return words
    place = words.index("--resume")
    if words[place + 1 : place + 2] == ["auto"]:
        return [*words[:place], "--resume=auto", *words[place + 2 :]]
    return [*words[:place], *words[place + 1 :], "--resume"]


def load_cfg(config_file: str = "", options: Sequence[str] = ()) -> CfgNode:
    """The frozen config; raises ConfigError with all unknown keys and wrong types of file and options together."""
    cfg, mistakes = read_cfg(config_file, options)
    if mistakes:
        raise ConfigError(mistakes)
    return cfg


def read_cfg(config_file: str = "", options: Sequence[str] = ()) -> tuple[CfgNode, list[str]]:
    """The frozen config, and what is wrong in file and options; an option that is wrong keeps its default."""
    cfg = _C.clone()
    mistakes: list[str] = []
    for entries in (_read_file(config_file, mistakes), _read_options(options, mistakes)):
        _fill(cfg, entries, mistakes)
    cfg.freeze()
    return cfg, mistakes


def _fill(cfg: CfgNode, entries: Iterable[Entry], mistakes: list[str]) -> None:
    """Set options; a named set of augmentation comes before the keys beside it, which may differ from it."""
    for key, value, origin in sorted(entries, key=lambda entry: entry[0] != "AUGMENTATION.SET"):
        _set(cfg, key, value, origin, mistakes)
        if key == "AUGMENTATION.SET":
            for name, own in AUGMENTATION_SETS.get(cfg.AUGMENTATION.SET, {}).items():
                cfg.AUGMENTATION[name] = own


def all_keys(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every option as (dotted key, value), in the order of the defaults."""
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from all_keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _read_file(name: str, mistakes: list[str]) -> Iterator[Entry]:
    if not name:
        return
    path = Path(name)
    try:
        with path.open(encoding="utf-8") as file:
            content = load_yaml(file.read(MOST_CHARACTERS + 1)) or {}
    except (OSError, ValueError) as error:
        mistakes.append(f"--config-file {name} cannot be read: {error}")
        return
    if not isinstance(content, dict):
        mistakes.append(f"--config-file {name} must hold KEY: VALUE lines")
        return
    yield from ((key, value, path.name) for key, value in flatten(content))


def flatten(content: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every value of the nested mappings of a YAML as (dotted key, value)."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_options(options: Sequence[str], mistakes: list[str]) -> Iterator[Entry]:
    if len(options) % 2:
        mistakes.append(f"options must come as KEY VALUE pairs; {options[-1]!r} has no partner")
    known = dict(all_keys(_C))
    for key, text in zip(options[::2], options[1::2], strict=False):
        yield key, text if isinstance(known.get(key), str) else _literal(text), "command line"


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # the last ones of what is nested deeply
        return text


def _set(cfg: CfgNode, key: str, value: object, origin: str, mistakes: list[str]) -> None:
    known = dict(all_keys(_C))
    if any(each.startswith(f"{key}.") for each in known):
        mistakes.append(f"{origin}: {key} is a group of options; set one of them, such as {key}.X")
        return
    if key not in known:
        near = difflib.get_close_matches(str(key)[:MOST_SHOWN].upper(), known, n=1, cutoff=0.0)
        mistakes.append(f"{origin}: there is no option {key[:MOST_SHOWN]}; did you mean {near[0]}?")
        return
    try:
        fitting = _fit(value, known[key])
    except ValueError as error:
        mistakes.append(f"{origin}: {key} is {shown(value)}; it must be {error}")
        return
    *parents, name = key.split(".")
    node = cfg
    for parent in parents:
        node = node[parent]
    node[name] = fitting


def shown(value: object) -> str:
    """A value in a message, of which a long one is cut."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists that lie too deep in each other
        return f"too much to show, a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _fit(value: Any, default: Any) -> Any:
    """`value` in the type of the default; raises ValueError that says which type that is."""
    if isinstance(default, bool):
        return _check(value, isinstance(value, bool), "True or False")
    if isinstance(default, int):
        return _check(value, type(value) is int and abs(value) < LARGEST, "a whole number")
    if isinstance(default, float):
        return _as_float(value)
    if isinstance(default, list):
        return list(_check(value, isinstance(value, (list, tuple)), "a list, such as [1, 2]"))
    if value is None or isinstance(value, (int, float)):
        return str(value)
    return _check(value, isinstance(value, str) and "\0" not in value, "a text without NUL")


def _check(value: Any, good: bool, wanted: str) -> Any:
    if not good:
        raise ValueError(wanted)
    return value


def _as_float(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    return _check(number, math.isfinite(number), "a number")
