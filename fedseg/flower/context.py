"""What a Flower app's processes know from where: the run's settings and a node's own.

The server, and in a simulation every node too, reads the federation file that the run's settings
name. A deployed node reads nothing but its own folder.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fedseg import config
from fedseg.config import Client, Evaluator, Federation
from fedseg.files import EMBEDDED, cache_dir
from fedseg.participants.node import Node, Places, load_node, simulated_node
from fedseg.run.folder import Run
from fedseg.run.progress import FileProgress, LogProgress, Progress

NODE_KEY = "fedseg"
"""What a deployed node's folder is called in its Flower configuration."""


class Context(Protocol):
    """What is used here of Flower's `Context`."""

    @property
    def run_id(self) -> int:
        """Id of the run."""

    @property
    def node_config(self) -> Mapping[str, Any]:
        """Settings of the node."""

    @property
    def run_config(self) -> Mapping[str, Any]:
        """Settings of the run."""


def federation_of(context: Context) -> Federation:
    """The federation file that the run's settings name, or the embedded default."""
    return config.load(Path(str(context.run_config.get("federation") or EMBEDDED)))


def run_of(context: Context) -> Run:
    """The run folder that the run's settings name, or one of this run's own in the cache."""
    default = cache_dir() / "runs" / str(context.run_id)
    return Run(Path(str(context.run_config.get("out") or default)).absolute())


def nodes_of(context: Context) -> list[Node]:
    """The participants on a node: itself; in a simulation of n nodes, every n-th participant."""
    if folder := context.node_config.get(NODE_KEY):
        return [load_node(Path(str(folder)))]
    federation, run = federation_of(context), run_of(context)
    first = int(context.node_config["partition-id"])
    step = int(context.node_config["num-partitions"])
    chosen = participants(federation)[first::step]
    tracking = federation.tracking
    return [simulated_node(role, run.state / role.name, tracking) for role in chosen]


def progress_of(context: Context, node: Node) -> Progress:
    """Where a node's progress is written: in the run folder of a simulation, or in its own.

    A deployed node logs it too.
    """
    if node.server is None:
        return FileProgress(run_of(context).progress, node.name)
    log = logging.getLogger("flwr")
    return LogProgress(FileProgress(node.state / "progress", node.name), log)


def places_of(context: Context, node: Node) -> Places:
    """Where a node's losses are kept: in the simulated run's folder, or in its own."""
    if node.server is None:
        run = run_of(context)
        return Places(run.curve(node.name), run.tracking, run.path.name)
    run_id = str(context.run_id)
    return Places(node.state / "curve.json", node.state / "tracking" / run_id, run_id)


def participants(federation: Federation) -> list[Client | Evaluator]:
    """Everyone who takes part on a node of their own."""
    return [*federation.clients, *federation.evaluators]


def workers(federation: Federation) -> list[str]:
    """Names under which progress is reported."""
    return [*(participant.name for participant in participants(federation)), "server"]
