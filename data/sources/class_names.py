"""What the class names of outlined objects stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from yacs.config import CfgNode

from data.sources.runs import IGNORE
from data.sources.source import SourceError

OTHERS = "*"  # stands for every name without a meaning of its own
MEANINGS = {"background": 0, "ignore": IGNORE, "drop": None}  # besides the classes


@dataclass(frozen=True)
class ClassNames:
    """The classes, and what other names in label files stand for: a class or one of MEANINGS."""

    classes: Sequence[str]
    meanings: Mapping[str, str] = field(default_factory=dict)

    def index(self, name: str) -> int | None:
        """Class index 1..K of a name, 0 for background, IGNORE, None to drop; raises SourceError on an unknown one."""
        meaning = self.meanings.get(name) or (name if name in self.classes else self.meanings.get(OTHERS))
        if meaning in self.classes:
            return self.classes.index(meaning) + 1
        if meaning not in MEANINGS:
            has = f"has class {name!r}" if name else "has no class"
            raise SourceError(f"{has}; DATASETS.CLASSES are {list(self.classes)}, DATASETS.LABEL_NAMES can map others")
        return MEANINGS[meaning]


def build_class_names(cfg: CfgNode) -> ClassNames:
    """The class names of a config: DATASETS.CLASSES and LABEL_NAMES."""
    return ClassNames(list(cfg.DATASETS.CLASSES), dict(cfg.DATASETS.LABEL_NAMES))
