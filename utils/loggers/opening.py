"""The loggers that a config names, as one that never ends a training."""

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from utils.loggers.logger import Logger, Subject
from utils.seed import chance_as_before

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """Where a logger is found, and what its library finds in the environment unless the user has set it otherwise."""

    library: str
    class_name: str
    environment: Mapping[str, str]


LOGGERS = {
    "tensorboard": Kind("tensorboard", "TensorBoardLogger", {}),
    "wandb": Kind(
        *("wandb", "WandbLogger"),
        {"WANDB_MODE": "offline", "WANDB_PROJECT": "segmentation", "WANDB_ERROR_REPORTING": "false"},
    ),
    # a folder needs no database, which MLflow would rather have
    "mlflow": Kind("mlflow", "MlflowLogger", {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}),
}


def check_loggers(names: Sequence[str]) -> None:
    """Raise ValueError for a logger whose library is not installed."""
    for name in names:
        if importlib.util.find_spec(LOGGERS[name].library) is None:
            raise ValueError(
                f"SOLVER.LOGGERS names {name!r}, which is not installed: pip install --requirement "
                "requirements-loggers.txt --constraint constraints.txt"
            )


class Loggers:
    """Several loggers as one. What goes wrong in one is a line of the log, and the others go on without it.

    A context manager: its end closes them. The random states stay as they were.
    """

    def __init__(self, names: Sequence[str], subject: Subject):
        self.loggers: dict[str, Logger] = {}
        self.step = 0
        for name in names:
            with self._guard(name):
                self.loggers[name] = _open(name, subject)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep figures by name, after so many training steps."""
        self.step = step
        self._tell(lambda logger: logger.scalars(step, values))

    def picture(self, name: str, path: Path) -> None:
        """Keep a PNG file of the step that was told last; pictures of one name are a series."""
        self._tell(lambda logger: logger.picture(self.step, name, path))

    def __enter__(self) -> "Loggers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._tell(lambda logger: logger.close(failed=kind is not None))

    def _tell(self, what: Callable[[Logger], None]) -> None:
        for name in list(self.loggers):
            with self._guard(name):
                what(self.loggers[name])

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        try:
            with chance_as_before():
                yield
        except Exception as error:
            log.warning("%s is left out from here on: %s", name, " ".join(str(error).split()) or type(error).__name__)
            log.debug("%s", name, exc_info=True)
            self.loggers.pop(name, None)


def _open(name: str, subject: Subject) -> Logger:
    kind = LOGGERS[name]
    for key, value in kind.environment.items():
        os.environ.setdefault(key, value)
    module = importlib.import_module(f"utils.loggers.{name}")
    return getattr(module, kind.class_name)(subject)
