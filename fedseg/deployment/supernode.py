"""Runs a node: Flower's SuperNode, with TLS, its own key, and nothing but apps that it trusts."""

import json
import os
from pathlib import Path

from fedseg.deployment.identity import CA, NODE_KEY, TRUSTED
from fedseg.errors import FedsegError
from fedseg.federation import NODE_KEY as IN_CONTEXT
from fedseg.flower import free_port, quiet_environment
from fedseg.node import load_node


def start(folder: Path) -> None:
    """Become Flower's SuperNode for a node's folder.

    Raises:
        FedsegError: the folder is not complete.
    """
    folder = folder.absolute()
    node = load_node(folder)
    for name in (NODE_KEY, CA, TRUSTED):
        if not (folder / name).is_file():
            raise FedsegError(f"{folder / name}: no such file; see `fedseg node check {folder}`")
    if not node.server:
        raise FedsegError(f"{folder}/node.toml: names no server; add server = 'HOST:PORT'")
    environment = os.environ | quiet_environment(node.state / "flower")
    threads = node.limits.threads
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [
        *("flower-supernode", "--superlink", node.server),
        *("--root-certificates", str(folder / CA)),
        *("--auth-supernode-private-key", str(folder / NODE_KEY)),
        *("--trusted-entities", str(folder / TRUSTED)),
        # Its SuperExec reaches it here; nobody outside this machine, or container, does.
        *("--host", "127.0.0.1", "--port", str(free_port())),
        *("--node-config", f"{IN_CONTEXT}={json.dumps(str(folder))}"),
    ]
    os.execvpe(command[0], command, environment)
