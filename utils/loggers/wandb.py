"""Weights & Biases: kept in the run folder until `wandb sync` sends it."""

import os
from collections.abc import Mapping
from pathlib import Path

import wandb

from utils.loggers.logger import Subject


class WandbLogger:
    """Writes <run>/wandb; the parts of a run are a group. The environment says mode and project."""

    def __init__(self, subject: Subject):
        os.environ.setdefault("WANDB_CACHE_DIR", str(subject.run / "wandb"))  # logs of its own, otherwise in the home
        self.run = wandb.init(
            group=subject.run.name,
            name=f"{subject.run.name} {subject.part}",
            dir=subject.run,
            config=dict(subject.options),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep figures by name, after so many training steps."""
        self.run.log(dict(values), step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a PNG file."""
        self.run.log({name: wandb.Image(str(path))}, step=step)

    def close(self, failed: bool) -> None:
        """End the run and wait until all of it is written."""
        self.run.finish(exit_code=int(failed))
        wandb.teardown()
