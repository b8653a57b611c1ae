"""Fetches a data set from an address, a tar file or a folder: python -m apps.fetch_data SOURCE FOLDER --sha256 HEX."""

import argparse
import gzip
import hashlib
import lzma
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from config import ConfigError
from config.run import ALL_GOOD, print_result, script
from utils.atomic import atomic_path

PART_BYTES = 2**20
TIMEOUT_S = 60.0
MOST_FILES = 1_000_000
DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
SCHEMES = ("http", "https")


@script
def main(argv: Sequence[str]) -> int:
    """Fetch, check and unpack into a new folder; returns the exit code."""
    args = parse_args(argv)
    most = int(args.limit_gb * 10**9)
    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        raise ConfigError([f"{args.folder} is there already; name a new folder, or take it away"])
    try:
        with opened(args.source, args.folder.parent, most) as source:
            if args.sha256:
                check_hash(source, args.sha256)
            with atomic_path(args.folder) as draft:
                copy_folder(source, draft, most) if source.is_dir() else unpack(source, draft, most)
    except ValueError as error:
        raise ConfigError([f"{args.source} {error}"]) from error
    except DAMAGED as error:
        raise ConfigError([f"{args.source} is damaged or cut short ({error}); fetch it again"]) from error
    files = [path for path in args.folder.rglob("*") if path.is_file()]
    print_result(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes in {args.folder}")
    return ALL_GOOD


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    about = "Fetch a data set: an http(s) address of a tar file, a tar file on this machine, or a folder."
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("source", help="address, tar file (also .gz, .bz2, .xz) or folder")
    parser.add_argument("folder", type=Path, help="the folder to make; it must not hold anything yet")
    parser.add_argument("--sha256", default="", metavar="HEX", help="SHA-256 that the tar file must have")
    parser.add_argument(
        "--limit-gb", type=float, default=50.0, metavar="GB", help="refuse more than this, unpacked too"
    )
    return parser.parse_args(argv)


@contextmanager
def opened(source: str, room: Path, most: int) -> Iterator[Path]:
    """The file or folder of a source, which is downloaded to a temporary place in `room` if it is an address."""
    if urlsplit(source).scheme in SCHEMES:
        room.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".fetch-", dir=room) as folder:
            yield download(source, Path(folder) / "archive", most)
    elif Path(source).exists():
        yield Path(source)
    else:
        raise ValueError("is neither an http(s) address nor a file or folder of this machine")


def download(address: str, target: Path, most: int) -> Path:
    """Fetch a file of at most `most` bytes; raises ValueError where it is longer, shorter than said or not there."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer, target.open("wb") as file:
            said, count = int(answer.headers.get("Content-Length") or -1), 0
            while part := answer.read(PART_BYTES):
                count += len(part)
                if max(count, said) > most:
                    raise ValueError(f"has {max(count, said)} bytes or more; --limit-gb allows {most}")
                file.write(part)
    except urllib.error.URLError as error:
        raise ValueError(f"cannot be fetched ({error.reason})") from error
    except (TimeoutError, ConnectionError, HTTPException) as error:
        raise ValueError(f"broke off ({str(error) or type(error).__name__}); try again") from error
    if count < said:
        raise ValueError(f"broke off after {count} of {said} bytes; try again")
    return target


def check_hash(path: Path, wanted: str) -> None:
    """Raise ValueError if a file has another SHA-256."""
    if path.is_dir():
        raise ValueError("is a folder; --sha256 is that of a tar file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted.lower().strip():
        raise ValueError(f"has the SHA-256 {found}, not {wanted}; it is damaged or another file")


def unpack(path: Path, folder: Path, most: int) -> None:
    """Unpack the files and folders of a tar file; raises ValueError for anything else in it and for paths outside.

    All of it is looked at before the first file is written, so that nothing is left of a tar file that is refused.
    """
    if not tarfile.is_tarfile(path):
        raise ValueError("is no tar file")
    with tarfile.open(path) as archive:
        check_members(archive, most)
        while archive.fileobj and archive.fileobj.read(PART_BYTES):
            pass  # to the end of a compressed file, where its checksum is
    folder.mkdir()
    with tarfile.open(path) as archive:
        for member in archive:
            target = folder / member.name
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                with target.open("xb") as file:
                    shutil.copyfileobj(content, file, PART_BYTES)


def check_members(archive: tarfile.TarFile, most: int) -> None:
    """Raise ValueError for links, devices, paths outside, doubled names, too many files and more than `most` bytes."""
    count, names = 0, set()
    for member in archive:
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()):
            raise ValueError(f"holds {member.name!r}, which is a link or a device; only files and folders are unpacked")
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name.split("/")[0]:
            raise ValueError(f"holds {member.name!r}, which lies outside the folder")
        if member.isfile() and path in names:
            raise ValueError(f"holds {member.name!r} twice")
        count += member.size
        names.add(path)
        if count > most or len(names) > MOST_FILES:
            raise ValueError(f"unpacks to {count} bytes or more in {len(names)} files; --limit-gb allows {most} bytes")


def copy_folder(source: Path, folder: Path, most: int) -> None:
    """Copy a folder; raises ValueError for links in it and for more than `most` bytes."""
    paths = sorted(source.rglob("*"))
    links = [path for path in paths if path.is_symlink()]
    if links:
        raise ValueError(f"holds {links[0].relative_to(source)}, which is a link; only files and folders are copied")
    count = sum(path.stat().st_size for path in paths if path.is_file())
    if count > most:
        raise ValueError(f"holds {count} bytes; --limit-gb allows {most}")
    shutil.copytree(source, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
