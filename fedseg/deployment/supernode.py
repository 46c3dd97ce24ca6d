"""Runs a node: Flower's SuperNode, with TLS, its own key, and nothing but apps that it trusts."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fedseg.deployment.connection import Unreachable, check_registration, check_server
from fedseg.deployment.identity import CA, NODE_KEY, TRUSTED
from fedseg.deployment.ports import check_port
from fedseg.errors import FedsegError
from fedseg.federation import NODE_KEY as IN_CONTEXT
from fedseg.flower import die_with_parent, free_port, process_table, quiet_environment
from fedseg.node import Node, load_node

AGAIN = 5.0
"""Seconds before a server is tried again, or a SuperNode that gave up is started again."""
SUPEREXEC_POLL = 2.0
"""Seconds between two looks whether the SuperNode can still start anything."""

log = logging.getLogger("flwr")


def start(folder: Path, port: int | None = None) -> None:
    """Take part until told to stop, through whatever happens to the server and the network.

    Flower's SuperNode waits for a server without a word, whatever the reason, and ends when one
    that it knows fails; so the server is looked at first, and a SuperNode that ended is replaced.
    So is one whose SuperExec died: it would go on and answer nothing.

    Args:
        folder: as `fedseg node init` makes it.
        port: where its own processes and a health check, `/health`, reach it on this machine, and
            nobody else does; default: any that is free.

    Raises:
        FedsegError: the folder is not complete, the server's certificate is not to be trusted, or
            the server does not know the node's key.
    """
    if port is not None:
        check_port("127.0.0.1", port, "--port")
    folder = folder.absolute()
    node = load_node(folder)
    for name in (NODE_KEY, CA, TRUSTED):
        if not (folder / name).is_file():
            raise FedsegError(f"{folder / name}: no such file; see `fedseg node check {folder}`")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            check_server(node, folder)
            check_registration(node, folder)
        except Unreachable as problem:
            log.warning("%s; trying again", problem)
        else:
            _run(_command(node, folder, port or free_port()), _environment(node))
        time.sleep(AGAIN)


def _run(command: list[str], environment: dict[str, str]) -> None:
    """Run a SuperNode until it ends or can't work any more; should we end, it does too."""
    process = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
    try:
        while process.poll() is None:
            if _has_lost_superexec(process.pid):
                log.warning("flower-superexec, which starts the trainings, died; starting anew")
                break
            time.sleep(SUPEREXEC_POLL)
    finally:
        process.terminate()
        process.wait()


def _has_lost_superexec(supernode: int) -> bool:
    """Whether the process that a SuperNode has its apps started by ended: nobody asked it how."""
    lost = ("flower-superexec"[:15], "Z", supernode)
    return any((name, state, parent) == lost for _, name, state, parent in process_table())


def _command(node: Node, folder: Path, port: int) -> list[str]:
    return [
        *("flower-supernode", "--superlink", str(node.server)),
        *("--root-certificates", str(folder / CA)),
        *("--auth-supernode-private-key", str(folder / NODE_KEY)),
        *("--trusted-entities", str(folder / TRUSTED)),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--node-config", f"{IN_CONTEXT}={json.dumps(str(folder))}"),
    ]


def _environment(node: Node) -> dict[str, str]:
    environment = os.environ | quiet_environment(node.state / "flower")
    if node.limits.threads:
        environment["OMP_NUM_THREADS"] = str(node.limits.threads)
    return environment
