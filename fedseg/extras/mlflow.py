"""MLflow: the server in MLFLOW_TRACKING_URI, or else a database in <folder>/mlflow.db."""

import fcntl
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from fedseg.training.tracking import PROJECT

MOST_METRICS = 1000
"""Metrics that MLflow takes at once."""


class MLflow:
    """A run of MLflow for each training, in one experiment."""

    def __init__(self, folder: Path, run: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db"
        with (folder / ".mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # clients start at once, but one makes the database
            self._client = MlflowClient(address)
            experiment = self._client.get_experiment_by_name(PROJECT)
            self._experiment = (
                experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
            )
        self._run, self._name = run, name
        self._unfinished = folder / f".mlflow-{run}-{name}"
        """File that holds the identifier of a training's run until it has ended."""

    @cached_property
    def _id(self) -> str:
        made = self._client.create_run(
            self._experiment, run_name=f"{self._run}/{self._name}", tags={"run": self._run}
        )
        self._unfinished.write_text(made.info.run_id)
        return made.info.run_id

    def resume(self, step: int) -> int:
        """Begin a run with what one that was killed holds of the steps up to `step`."""
        if not self._unfinished.is_file():
            return 0
        killed = self._unfinished.read_text()
        try:
            metrics = self._metrics(killed, step)
            for first in range(0, len(metrics), MOST_METRICS):
                self._client.log_batch(self._id, metrics[first : first + MOST_METRICS])
            self._client.delete_run(killed)
        except MlflowException:  # somebody removed it
            return 0
        return max((metric.step for metric in metrics), default=0)

    def _metrics(self, run: str, step: int) -> list[Metric]:
        """What a run holds of the steps up to `step`."""
        names = self._client.get_run(run).data.metrics
        histories = (self._client.get_metric_history(run, name) for name in names)
        return [metric for history in histories for metric in history if metric.step <= step]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        for metric, value in values.items():
            self._client.log_metric(self._id, metric, value, step=step)

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)
        self._unfinished.unlink(missing_ok=True)
