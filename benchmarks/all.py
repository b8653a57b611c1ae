"""Every benchmark, then one line a figure: python -m benchmarks.all [--quick].

Results, pictures and figures.csv lie in output/benchmarks. --only NAME ... repeats some of them and keeps the others.
"""

import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.figures import load_figures, options, write_table
from benchmarks.memory import ROOT

BENCHMARKS = ("tiling", "prediction", "seams", "training", "objects", "volumes", "peers")


def main(argv: Sequence[str]) -> int:
    """Run them one after the other, each in a process of its own; 1 if one failed."""
    parser = options("Run every benchmark.")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS, help="benchmarks to run")
    args = parser.parse_args(argv)
    failed = []
    for name in args.only:
        begun = time.monotonic()
        (args.folder / f"{name}.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--folder", str(args.folder), *["--quick"] * args.quick]
        failed += [name] * (subprocess.run(command, cwd=ROOT).returncode != 0)
        print(f"-- {name}: {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)
    subprocess.run([sys.executable, "-m", "benchmarks.pictures", str(args.folder)], cwd=ROOT, check=True)
    figures = [figure for name in BENCHMARKS for figure in load_figures(args.folder, name)]
    write_table(args.folder, figures)
    print("".join(f"-- {name} failed\n" for name in failed), end="")
    for figure in figures:
        print(figure.line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
