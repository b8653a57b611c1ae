"""Fuzzing for some minutes: python -m tests.reliability.fuzz --minutes 10 --seed 0 [--target NAME]; 1 on findings."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.fuzz.loop import fuzz, make_input
from tests.reliability.fuzz.targets import TARGETS


def main(argv: Sequence[str]) -> int:
    """Fuzz the targets one after the other and print a line of each."""
    parser = argparse.ArgumentParser(description="Try mutated files until the time is over.")
    parser.add_argument("--minutes", type=float, default=10, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same inputs")
    parser.add_argument("--target", nargs="*", choices=TARGETS, default=[*TARGETS])
    parser.add_argument("--number", type=int, help="only write the input of this number, to standard output")
    parser.add_argument("--output", type=Path, default=Path("output/fuzz"), help="where findings are kept")
    args = parser.parse_args(argv)
    if args.number is not None:
        sys.stdout.buffer.write(make_input(TARGETS[args.target[0]], args.seed, args.number).data)
        return 0
    found = 0
    for name in args.target:
        tally = fuzz(TARGETS[name], args.seed, 60 * args.minutes / len(args.target), args.output)
        print(tally, flush=True)
        for kind, count in tally.kinds.most_common():
            print(f"    {count} x {kind}")
        found += len(tally.kinds)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
