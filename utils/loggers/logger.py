"""What every logger can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml


@dataclass(frozen=True)
class Subject:
    """What a logger is told about: a part ('fold0') of the run in a folder, under options by dotted key."""

    run: Path
    part: str
    options: Mapping[str, Any]

    @property
    def config(self) -> str:
        """The options as YAML."""
        return yaml.safe_dump(dict(self.options), sort_keys=False, default_flow_style=None)


class Logger(Protocol):
    """Keeps figures and pictures of one subject; made from it by opening, which keeps its options too."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep figures by name, after so many training steps."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a PNG file after so many steps, never fewer than before; pictures of one name are a series."""

    def close(self, failed: bool) -> None:
        """End well or not; nothing is told afterwards."""
