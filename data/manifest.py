"""What a run read, file by file: size and SHA-256, to tell later whether the data are still the same."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from yacs.config import CfgNode

from data.cases import Case
from data.patches.tiles import build_tile_folder
from data.sources.named_mask import NamedMask
from data.sources.source import SourceError
from utils.failures import Failures
from utils.progress import track
from utils.tables import read_table, write_table
from utils.threads import Ahead, reader_count

SHOWN = 8  # files that a message names
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataFile:
    """A file that a run reads, or a folder of files; `kind` says what for, `case_id` is empty where it serves all."""

    kind: str
    path: Path
    case_id: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of manifest.csv; `file` is relative to the folder that the config names, `sha256` empty if not asked for.

    Of a file alone the hash is that of its bytes; of several it is that of what `sha256sum` prints of them.
    """

    kind: str
    id: str
    file: str
    bytes: int
    sha256: str


def build_manifest(
    cfg: CfgNode, cases: Sequence[Case], failures: Failures, more: Sequence[DataFile] = ()
) -> list[Entry]:
    """Entries of the images, label files and tables that are learnt from, and of `more` files."""
    data = cfg.DATASETS
    no_use = {"LABELS_CSV"} if data.LAYOUT != "slides" or data.LABELS_FOLDER or data.LABELS_COCO else set()
    named = [Path(data[key]) for key in data if key.endswith(("_CSV", "_COCO")) and key not in no_use]
    tables = [DataFile("table", path) for path in named if path.is_file()]
    folders = ("WSI_FOLDER", "LABELS_FOLDER", "TRAIN_FOLDER", "UNLABELLED_FOLDER", "PSEUDO_LABELS")
    roots = [Path(data[key]) for key in folders if data[key]]
    return describe_files([*case_files(cases), *tables, *more], roots, data.HASHES, failures)


def build_training_manifest(
    cfg: CfgNode, cases: Sequence[Case], failures: Failures, unlabelled: Sequence[Case] = (), maps: Sequence[Path] = ()
) -> list[Entry]:
    """Entries of all that is trained with, tiles and weights too; raises ValueError for one image in two groups.

    `maps` are the folders of the pseudo-labels of the `unlabelled` cases.
    """
    more = []
    if cfg.DATASETS.LAYOUT == "slides" and cfg.INPUT.FROM == "tiles":
        tiles = build_tile_folder(cfg)
        more += [DataFile("tiles", tiles.images), DataFile("tiles", tiles.masks)]
    if Path(cfg.MODEL.ENCODER_WEIGHTS).is_file():
        more.append(DataFile("weights", Path(cfg.MODEL.ENCODER_WEIGHTS)))
    more += [DataFile("unlabelled", case.image, case.id) for case in unlabelled]
    more += [DataFile("pseudo-labels", folder) for folder in maps]
    entries = build_manifest(cfg, cases, failures, more)
    refuse_copies(entries, {case.id: case.group for case in [*cases, *unlabelled]})
    return entries


def build_test_manifest(
    cfg: CfgNode, cases: Sequence[Case], failures: Failures, weights: Sequence[Path]
) -> list[Entry]:
    """Entries of the images and labels that are predicted and scored, and of the weights."""
    labels = cfg.TEST.LABELS_CSV or cfg.DATASETS.LABELS_COCO
    named = [Path(labels), Path(cfg.DATASETS.ID_CSV) if cfg.TEST.SPLIT else Path()]
    files = [*(DataFile("table", path) for path in named if path.is_file()), *(DataFile("weights", p) for p in weights)]
    folders = [cfg.TEST.WSI_FOLDER, cfg.DATASETS.LABELS_FOLDER, cfg.TEST.MODEL_WEIGHTS_FOLDER]
    roots = [Path(folder) for folder in folders if folder]
    return describe_files([*case_files(cases), *files], roots, cfg.DATASETS.HASHES, failures)


def case_files(cases: Sequence[Case]) -> list[DataFile]:
    """Image and, where it is a file of its own, labels of each case; tables that name the values of masks."""
    files = []
    for case in cases:
        files.append(DataFile("image", case.image, case.id))
        if isinstance(case.labels, NamedMask | Path):
            path = case.labels if isinstance(case.labels, Path) else case.labels.path
            files.append(DataFile("labels", path, case.id))
    tables = {case.labels.table for case in cases if isinstance(case.labels, NamedMask)}
    return files + [DataFile("table", path) for path in sorted(tables)]


def describe_files(
    files: Sequence[DataFile], roots: Sequence[Path], with_hashes: bool, failures: Failures
) -> list[Entry]:
    """An entry for each file, named from the first of `roots` above it; a case whose file cannot be read is a failure.

    Files are read whole, by a few threads; about a second a gigabyte and core.
    """
    entries = []
    threads = reader_count()
    with Ahead(lambda file: _describe(file, roots, with_hashes), files, threads, ahead=2 * threads) as described:
        for file, entry in track(described, "files of the manifest", len(files)):
            if file.case_id:
                with failures.guard(file.case_id, file.path.name):
                    entries.append(entry.result())
            else:
                entries.append(entry.result())
    return entries


def _describe(file: DataFile, roots: Sequence[Path], with_hashes: bool) -> Entry:
    try:
        parts = parts_of(file.path)
        size = sum(part.stat().st_size for part in parts)
        if not all(part.is_file() for part in parts):  # a pipe would be waited for
            raise SourceError(f"{file.path.name} is no file")
        return Entry(file.kind, file.case_id, _relative(file.path, roots), size, _hash(parts) if with_hashes else "")
    except OSError as error:
        if file.case_id:  # what cannot be read ends its case, not the run
            raise SourceError(f"{file.path.name} cannot be read: {error.strerror}") from error
        raise


def parts_of(path: Path) -> list[Path]:
    """The files behind a path: all in a folder, an MRXS, DICOM or MHD image with its companions, or the file alone."""
    if path.suffix.lower() == ".dcm":
        return parts_of(path.parent)
    if path.is_dir():
        return sorted(part for part in path.rglob("*") if part.is_file())
    if path.suffix.lower() == ".mhd":
        return [path, *(other for other in map(path.with_suffix, (".raw", ".zraw")) if other.is_file())]
    return [path, *parts_of(path.with_suffix(""))] if path.suffix.lower() == ".mrxs" else [path]


def _hash(parts: Sequence[Path]) -> str:
    hashes = []
    for part in parts:
        with part.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(parts) == 1:
        return hashes[0]
    lines = (f"{digest}  {part.name}\n" for part, digest in zip(parts, hashes, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _relative(path: Path, roots: Sequence[Path]) -> str:
    above = [root for root in roots if path.is_relative_to(root)]
    return path.relative_to(above[0]).as_posix() if above else path.name


def refuse_copies(entries: Sequence[Entry], group_of: Mapping[str, str]) -> None:
    """Raise ValueError where cases of two groups have the same image file, which folds would put on both sides."""
    for one, other in copies(entries):
        groups = group_of[one.id], group_of[other.id]
        if groups[0] != groups[1]:
            raise ValueError(
                f"{one.file} and {other.file} are the same picture in the groups {groups[0]!r} and {groups[1]!r}; leave"
                f" one of the cases {one.id} and {other.id} out, or give them one group in DATASETS.ID_CSV"
            )


def copies(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Each image whose hash a labelled image before it has, after the first of these."""
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind in ("image", "unlabelled") and entry.sha256:
            is_labelled = entry.kind == "image"  # unlabelled ones that are alike lie on one side
            original = first.setdefault(entry.sha256, entry) if is_labelled else first.get(entry.sha256, entry)
            if original is not entry:
                yield original, entry


def write_manifest(path: Path, entries: Sequence[Entry]) -> None:
    """Write the entries as they are ordered; equal data give equal bytes wherever they lie."""
    write_table(path, [asdict(entry) for entry in entries], list(Entry.__dataclass_fields__))


def warn_of_changes(before: Path, entries: Sequence[Entry]) -> None:
    """Log a warning that names the files which differ from those of an earlier manifest."""
    changes = list(_changes(before, entries))
    if changes:
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        log.warning("the data are not those of %s: %s%s", before, ", ".join(changes[:SHOWN]), more)


def _changes(before: Path, entries: Sequence[Entry]) -> Iterator[str]:
    table = read_table(before, list(Entry.__dataclass_fields__)).to_dict("records")
    old = {(row["kind"], row["id"], row["file"]): (row["bytes"], row["sha256"]) for row in table}
    new = {(entry.kind, entry.id, entry.file): (str(entry.bytes), entry.sha256) for entry in entries}
    for key in sorted(old.keys() | new.keys()):
        if key not in new or key not in old:
            yield f"{key[2]} is {'new' if key in new else 'gone'}"
        elif old[key][0] != new[key][0] or (old[key][1] and new[key][1] and old[key][1] != new[key][1]):
            yield f"{key[2]} has changed"
