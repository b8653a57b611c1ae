"""Makes docs/reference.md from config/defaults.py; with `--check` only tells whether it is stale."""

import argparse
import ast
import io
import logging
import re
import sys
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = ROOT / "config" / "defaults.py"
REFERENCE = ROOT / "docs" / "reference.md"
HEADING = re.compile(r"-{10,} (\w+)")
HEAD = """# Reference

Every option, in the order in which pixels meet it. Set one in a YAML file (`--config-file`) or as `KEY VALUE` on the
command line; the latter wins. Lists go into quotes there: `SOLVER.FOLDS "[0, 2]"`.

This page is made from `config/defaults.py` by `python docs/make_reference.py`.
"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Option:
    """An option as defaults.py documents it: dotted key, default as written, effect, and the group it stands in."""

    key: str
    default: str
    effect: str
    group: str


def main(argv: Sequence[str]) -> int:
    """Write the reference, or with --check say whether it is up to date; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make docs/reference.md from config/defaults.py.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    check = parser.parse_args(argv).check
    page = make_page(read_options(DEFAULTS.read_text(encoding="utf-8")))
    if not check:
        REFERENCE.write_text(page, encoding="utf-8")
        return 0
    if REFERENCE.is_file() and REFERENCE.read_text(encoding="utf-8") == page:
        return 0
    log.error("docs/reference.md is stale; run python docs/make_reference.py")
    return 1


def read_options(source: str) -> list[Option]:
    """Options of the text of defaults.py: assignments to _C.<key> of anything but a node."""
    comments = _comments(source)
    options = []
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.Assign) or isinstance(statement.value, ast.Call):
            continue
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        effect = " ".join(comments[line] for line in lines if line in comments)
        key = ast.unparse(statement.targets[0]).removeprefix("_C.")
        options.append(Option(key, ast.unparse(statement.value), effect, _group(comments, statement.lineno)))
    return options


def make_page(options: Sequence[Option]) -> str:
    """The reference as markdown, a table a group."""
    parts = [HEAD]
    for group in dict.fromkeys(option.group for option in options):
        rows = [
            f"| `{option.key}` | `{option.default}` | {_escape(option.effect)} |"
            for option in options
            if option.group == group
        ]
        parts.append("\n".join([f"## {group}\n", "| option | default | unit and effect |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _comments(source: str) -> dict[int, str]:
    """Text of each comment by its line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _group(comments: dict[int, str], line: int) -> str:
    """Title of the last heading above a line, such as `# ------------- cases`."""
    found = [HEADING.fullmatch(text) for number, text in sorted(comments.items()) if number < line]
    titles = [match[1] for match in found if match]
    return titles[-1].capitalize() if titles else "Run"


def _escape(text: str) -> str:
    for mark, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(mark, written)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
