"""Runs a node: Flower's SuperNode, with TLS, its own key, and nothing but apps that it trusts."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fedseg.deployment import superexec
from fedseg.deployment.authority import CA
from fedseg.deployment.connection import Unreachable, check_registration, check_server
from fedseg.deployment.identity import NODE_KEY, TRUSTED, check_local, open_node
from fedseg.flower.context import NODE_KEY as IN_CONTEXT
from fedseg.flower.supervisor import die_with_parent, free_port, quiet_environment
from fedseg.participants.node import Node

AGAIN = 5.0
"""Seconds before a server is tried again, or a SuperNode that gave up is started again."""
POLL = 2.0
"""Seconds between two looks whether both processes are there."""
SERIAL = "app.json"
"""File that holds when the newest app that this node ran was signed."""

log = logging.getLogger("flwr")


def start(folder: Path, port: int | None = None) -> None:
    """Take part until stopped, through whatever happens to the server and the network.

    Flower's SuperNode waits for a server without a word, whatever the reason, and ends when one
    that it knows fails; so the server is looked at first, and a SuperNode that ended is replaced.
    So is one whose SuperExec, which starts the apps, died: it would go on and answer nothing.

    Args:
        folder: as `fedseg deploy init` makes it.
        port: where its own processes and a health check, `/health`, reach it on this machine, and
            nobody else does; default: any that is free.

    Raises:
        FedsegError: the folder is not complete, the server's certificate is not to be trusted, or
            the server does not know the node's key.
    """
    check_local(port)
    folder = folder.absolute()
    node = open_node(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            check_server(node, folder)
            check_registration(node, folder)
        except Unreachable as problem:
            log.warning("%s; trying again", problem)
        else:
            environment = _environment(node)
            secret = superexec.make_secret(node.state)
            local = f"127.0.0.1:{port or free_port()}"
            _run(
                partial(_start_supernode, node, folder, local, secret, environment),
                partial(superexec.start, local, secret, environment=environment),
            )
        time.sleep(AGAIN)


def _run(*starts: Callable[[], subprocess.Popen[bytes]]) -> None:
    """Run processes until one of them ends; the others then end too, and so they do with us."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for start_process in starts:
            processes.append(start_process())
        while all(process.poll() is None for process in processes):
            time.sleep(POLL)
        log.warning("a process of the node ended; starting anew")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _start_supernode(
    node: Node, folder: Path, local: str, secret: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    host, port = local.split(":")
    serial = node.state.absolute() / SERIAL
    command = [
        *(sys.executable, "-P", "-m", "fedseg.deployment.verified_supernode", str(serial)),
        *("--superlink", str(node.server)),
        *("--root-certificates", str(folder / CA)),
        *("--auth-supernode-private-key", str(folder / NODE_KEY)),
        *("--trusted-entities", str(folder / TRUSTED)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
        *("--host", host, "--port", port),
        *("--node-config", f"{IN_CONTEXT}={json.dumps(str(folder))}"),
    ]
    return subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)


def _environment(node: Node) -> dict[str, str]:
    environment = os.environ | quiet_environment(node.state / "flower")
    if node.limits.threads:
        environment["OMP_NUM_THREADS"] = str(node.limits.threads)
    return environment
