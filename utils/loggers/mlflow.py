"""MLflow: a folder beside the runs, so that they can be compared."""

import os
from collections.abc import Mapping
from pathlib import Path
from time import time

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from utils.loggers.logger import Subject

LONGEST_VALUE = 6000  # characters of a parameter that MLflow takes


class MlflowLogger:
    """Writes <folder of the runs>/mlflow: an experiment a run, in it a run a part; MLFLOW_TRACKING_URI overrules."""

    def __init__(self, subject: Subject):
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", str(subject.run.parent.absolute() / "mlflow")))
        self.id = self._begin(subject.run.name, subject.part)
        parameters = [Param(key, str(value)[:LONGEST_VALUE]) for key, value in subject.options.items()]
        self.client.log_batch(self.id, params=parameters)
        self.client.log_text(self.id, subject.config, "config.yaml")

    def _begin(self, experiment: str, part: str) -> str:
        known = self.client.get_experiment_by_name(experiment)
        experiment_id = known.experiment_id if known else self.client.create_experiment(experiment)
        return self.client.create_run(experiment_id, run_name=part).info.run_id

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep figures by name, after so many training steps."""
        now = int(1000 * time())
        self.client.log_batch(self.id, [Metric(name, value, now, step) for name, value in values.items()])

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a PNG file under its own name, in a folder of the series."""
        self.client.log_artifact(self.id, str(path), name)

    def close(self, failed: bool) -> None:
        """Say how the run ended."""
        self.client.set_terminated(self.id, "FAILED" if failed else "FINISHED")
