"""MLflow: the server in MLFLOW_TRACKING_URI, or else a database in <folder>/mlflow.db."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from mlflow.tracking import MlflowClient


class MLflow:
    """A run of MLflow for each training, in an experiment named after the project."""

    def __init__(self, folder: Path, project: str, run: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db"
        with (folder / ".mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # clients start at once, but one makes the database
            self._client = MlflowClient(address)
            experiment = self._client.get_experiment_by_name(project)
            number = (
                experiment.experiment_id if experiment else self._client.create_experiment(project)
            )
        made = self._client.create_run(number, run_name=f"{run}/{name}", tags={"run": run})
        self._id = made.info.run_id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        for metric, value in values.items():
            self._client.log_metric(self._id, metric, value, step=step)

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)
