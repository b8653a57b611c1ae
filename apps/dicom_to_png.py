"""Writes a tree of DICOM files as PNG into the same folders: python -m apps.dicom_to_png scans pictures."""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from config import ConfigError
from config.run import exit_code, print_result, script
from utils.failures import Failures

ENDING = ".dcm"
INDEX = "DICOMDIR"  # a table of contents, which holds no picture


@script
def main(argv: Sequence[str]) -> int:
    """Convert every DICOM file; one that cannot be read is named and the others go on. Returns the exit code."""
    args = parse_args(argv)
    check_folders(args.source, args.target)
    from utils.progress import track

    files, failures, written = list_dicom(args.source), Failures(), 0
    if not files:
        raise ConfigError([f"{str(args.source)!r} holds no DICOM file"])
    jobs = zip(files, name_pictures(files, args.source, args.target), strict=True)
    for file, target in track(jobs, "files", len(files)):
        name = file.relative_to(args.source).as_posix()
        with failures.guard(name, file.name):
            written += convert(file, target)
    failures.write(args.target / "failures.csv")
    print_result(f"{written} pictures of {len(files)} DICOM files in {args.target}, {len(failures.ids)} files failed")
    return exit_code(failures.ids)


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Convert a tree of DICOM files into a tree of PNG files.")
    parser.add_argument("source", type=Path, help="folder of the DICOM files, in folders of any depth")
    parser.add_argument("target", type=Path, help="where to write the same folders with PNG files")
    return parser.parse_args(argv)


def check_folders(source: Path, target: Path) -> None:
    """Raise ConfigError where there is nothing to read, or where pictures would be written among what is read."""
    if not source.is_dir():
        raise ConfigError([f"{str(source)!r} is no folder"])
    if target.resolve().is_relative_to(source.resolve()):
        raise ConfigError([f"{str(target)!r} lies in {str(source)!r}; choose a folder outside of it"])


def list_dicom(folder: Path) -> list[Path]:
    """DICOM files below a folder by ending, or by content whatever their name; sorted, hidden ones left out."""
    from data.sources.dicom import is_dicom_file

    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != INDEX)
    shown = (path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return [path for path in shown if path.suffix.lower() == ENDING or is_dicom_file(path)]


def name_pictures(files: Sequence[Path], source: Path, target: Path) -> list[Path]:
    """The place of each file's picture without an ending: its name without .dcm, or all of it where that is taken."""
    taken: dict[Path, None] = {}
    for file in files:
        place = target / file.relative_to(source).parent
        stem = file.stem if file.suffix.lower() == ENDING else file.name
        names = itertools.chain([stem, file.name], (f"{file.name}_{number}" for number in itertools.count(2)))
        free = (name for name in names if place / name not in taken and not (file.parent / name).is_dir())
        taken[place / next(free)] = None
    return list(taken)


def convert(file: Path, target: Path) -> int:
    """Write the picture of a DICOM file as <target>.png, or those of a loop as <target>/0001.png...; their number."""
    from data.patches.tiles import save_image
    from data.sources.dicom import read_frames
    from utils.atomic import atomic_path

    frames = read_frames(file)
    begun = list(itertools.islice(frames, 2))
    is_loop = len(begun) > 1
    for count, pixels in enumerate(itertools.chain(begun, frames), start=1):
        path = target / f"{count:04}.png" if is_loop else target.with_name(f"{target.name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            save_image(draft, pixels)
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
