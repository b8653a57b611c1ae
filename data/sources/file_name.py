"""Names of files, some of which have an ending of two parts."""

from pathlib import Path


def ending(path: Path) -> str:
    """The ending of a name in small letters, with that before a .gz: '.geojson.gz'."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == ".gz" else last


def stem(path: Path) -> str:
    """The name without its `ending`."""
    return path.name[: len(path.name) - len(ending(path))]
