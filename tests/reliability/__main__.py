"""The matrix as a table: python -m tests.reliability [GROUP ...] [--csv FILE]; 1 if a promise is broken."""

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.reliability.matrix import Case, Outcome, examine, load_matrix
from utils.tables import write_table

WIDTHS = (58, 44)  # of the columns of the case and of what is expected


def main(argv: Sequence[str]) -> int:
    """Try every case and print a line of each."""
    parser = argparse.ArgumentParser(description="Try bad inputs and faults.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="names of files in tests/reliability/matrix")
    parser.add_argument("--csv", type=Path, help="where the table is kept as well")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it runs in the background
    cases = [case for case in load_matrix() if not args.groups or case.group in args.groups]
    outcomes = list(tried(cases))
    if args.csv:
        names = ["group", "case", "run", "expected", "seen", "wrong"]
        write_table(args.csv, [dict(zip(names, row_of(outcome), strict=True)) for outcome in outcomes], names)
    kept = sum(not outcome.wrong for outcome in outcomes)
    print(f"{kept} of {len(outcomes)} as promised")
    return int(kept < len(outcomes))


def tried(cases: Iterable[Case]) -> Iterable[Outcome]:
    """The outcome of each case, printed as it is known."""
    for case in cases:
        begun = time.monotonic()
        with TemporaryDirectory() as folder:
            outcome = examine(case, Path(folder) / "room")
            seen = outcome.seen.replace(folder, "")
        print(
            shortened(f"{case.group}: {case.name}, {case.run}", WIDTHS[0]),
            shortened(case.expected, WIDTHS[1]),
            seen[:150],
        )
        if outcome.wrong:
            print(f"    BROKEN after {time.monotonic() - begun:.1f} s: {outcome.wrong}")
        yield outcome


def row_of(outcome: Outcome) -> list[str]:
    """A line of the table."""
    case = outcome.case
    return [case.group, case.name, case.run, case.expected, outcome.seen, outcome.wrong]


def shortened(text: str, width: int) -> str:
    """The text in just so many characters."""
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
