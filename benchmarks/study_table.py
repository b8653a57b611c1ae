"""The rows of a study: one recipe each, as the options that it changes, from a YAML file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.memory import ROOT
from config import ConfigError, read_cfg
from config.check import check_cfg

FOLDER = ROOT / "benchmarks" / "studies"
IMAGES = "images"  # key of a row that is no option: images that an epoch draws for each patch of the grid
AT_TEST = ("TEST.", "SOLVER.TUNE", "SOLVER.NESTED")  # options of no effect on weights
AUGMENTATION, SET = "AUGMENTATION.", "AUGMENTATION.SET"
NAME = re.compile(r"[\w.+-]+")
Options = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """A recipe: what it is called, which rows it stands with, and the options in which it differs from the first row.

    An epoch of it shows `images` images for each patch of the grid.
    """

    name: str
    group: str
    options: Options
    images: float = 1.0

    @property
    def change(self) -> str:
        """The options on one line."""
        return ", ".join(f"{key} {value}" for key, value in self.options.items())


@dataclass(frozen=True)
class StudyTable:
    """The rows of a study, the first of which is the base that the others are compared with, and what all share."""

    name: str
    options: Options
    rows: Sequence[Row]

    @property
    def base(self) -> Row:
        """The row that the others are compared with."""
        return self.rows[0]

    def options_of(self, row: Row) -> dict[str, str]:
        """The options of a row, with those that all rows share; a set of augmentation takes the place of its keys."""
        shared = self.options
        if SET in row.options:
            shared = {key: value for key, value in shared.items() if not key.startswith(AUGMENTATION)}
        return {**shared, **row.options}

    def trainer_of(self, row: Row) -> Row:
        """The first row that trains the same networks: itself, unless it differs from another in predicting alone."""
        own = (_training(self.options_of(row)), row.images)
        return next(each for each in self.rows if (_training(self.options_of(each)), each.images) == own)

    def plan(self, names: Sequence[str]) -> list[Row]:
        """The base, the named rows or all, and those that train for them, in the order of the table.

        Raises ConfigError for a name that no row has.
        """
        every = {row.name: row for row in self.rows}
        strange = [name for name in names if name not in every]
        if strange:
            raise ConfigError([f"--rows names {strange}; choose from {list(every)}"])
        wanted = {self.base.name, *(names or every)}
        wanted |= {self.trainer_of(every[name]).name for name in wanted}
        return [row for row in self.rows if row.name in wanted]


def _training(options: Options) -> dict[str, str]:
    return {key: value for key, value in options.items() if not key.startswith(AT_TEST)}


def load_table(name: str, overrule: Options) -> StudyTable:
    """The study of that name in `benchmarks/studies`, or of a YAML file; `overrule` goes before what all rows share.

    Raises ConfigError naming every mistake of every row.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        known = sorted(each.stem for each in FOLDER.glob("*.yaml"))
        text = " ".join(str(error).split())
        raise ConfigError([f"--table {name} cannot be read: {text}; choose one of {known} or a YAML file"]) from error
    if not isinstance(content, dict) or set(content) != {"options", "rows"}:
        raise ConfigError([f"{path} must hold 'options' and 'rows'"])
    rows = [
        Row(name, group, _texts({key: value for key, value in row.items() if key != IMAGES}), float(row.get(IMAGES, 1)))
        for group, members in content["rows"].items()
        for name, row in members.items()
    ]
    table = StudyTable(path.stem, {**_texts(content["options"]), **overrule}, rows)
    mistakes = list(_mistakes(table))
    if mistakes:
        raise ConfigError([f"{path.name}: {mistake}" for mistake in mistakes])
    return table


def _texts(options: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in options.items()}


def _mistakes(table: StudyTable) -> Iterator[str]:
    names = [row.name for row in table.rows]
    yield from (f"row {name} is there twice" for name in sorted({name for name in names if names.count(name) > 1}))
    is_pairs = table.options.get("DATASETS.LAYOUT") == "pairs"
    for row in table.rows:
        if not NAME.fullmatch(row.name):
            yield f"row {row.name!r} must have a name of letters, digits, '.', '_', '+' and '-'"
        if not row.images > 0:
            yield f"row {row.name}: {IMAGES} is {row.images}; it must be above 0"
        if is_pairs and row.images == 1 and any(key.startswith(("TILES.", "INPUT.SIZE")) for key in row.options):
            yield f"row {row.name}: patches of pairs are not counted; set {IMAGES}, an epoch's pixels over the base's"
        try:
            cfg, mistakes = read_cfg("", words(table.options_of(row)))
            check_cfg(cfg, [], mistakes)
        except ConfigError as error:
            yield from (f"row {row.name}: {mistake}" for mistake in error.mistakes)


def words(options: Options) -> list[str]:
    """Options as KEY VALUE of a command line."""
    return [word for pair in options.items() for word in pair]
