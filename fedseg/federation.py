"""What a Flower app's processes know from where: the run's settings and a node's own.

In a simulation every process reads the same federation file, and a node plays whom its partition
falls on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedseg import config
from fedseg.config import Client, Evaluator, Federation
from fedseg.files import cache_dir
from fedseg.runs import Run


def federation_of(run_config: Mapping[str, Any]) -> Federation:
    """The federation file that the run's settings name, or the embedded default."""
    return config.load(Path(str(run_config.get("federation") or config.EMBEDDED)))


def run_of(run_config: Mapping[str, Any], run_id: int) -> Run:
    """The run folder that the run's settings name, or one of this run's own in the cache."""
    return Run(Path(str(run_config.get("out") or cache_dir() / "runs" / str(run_id))).absolute())


def roles_of_node(
    federation: Federation, node_config: Mapping[str, Any]
) -> list[Client | Evaluator]:
    """Whom a simulated node plays: every n-th client and evaluator, where there are n nodes."""
    first, step = int(node_config["partition-id"]), int(node_config["num-partitions"])
    return participants(federation)[first::step]


def participants(federation: Federation) -> list[Client | Evaluator]:
    """Everyone who takes part on a node of their own."""
    return [*federation.clients, *federation.evaluators]
