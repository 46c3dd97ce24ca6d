"""A whole deployment as real processes: a server and nodes, with TLS, keys and a signed app."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import tomli_w

from fedseg.deployment.authority import trusting
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.control import Server
from fedseg.deployment.identity import make_node
from fedseg.deployment.signing import sign_app, trust
from fedseg.flower.supervisor import free_port
from tests.conftest import LOOSE_MINIMA, TINY_MODEL, TINY_TRAINING, make_world_in
from tests.processes import wait_until, wait_until_gone

FEDSEG = str(Path(sys.executable).parent / "fedseg")
OFTEN = "\n[limits]\ntrainings_per_day = 100\n"
SPARING = f"{OFTEN}iterations = 2\n"
OWN_MODEL = f'{OFTEN}[model]\narch = "unet"\nencoder = "resnet18"\n'
PATIENCE = 120.0
"""Seconds within which a process is up, on a machine that is busy."""


class Deployment:
    """Starts the entry points of the containers, below one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.certs, self.state = home / "certs", home / "server"
        self.port, self.admin_port = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen] = {}
        make_certificates(self.certs, ["localhost"])
        sign_app(self.certs)

    @property
    def server(self) -> Server:
        return Server(f"localhost:{self.admin_port}", self.certs)

    def start_server(self) -> None:
        ports = ["--port", str(self.port), "--admin-port", str(self.admin_port)]
        folders = ["--certs", str(self.certs), "--state", str(self.state)]
        self._start("server", "deploy", "server", *folders, "--host", "127.0.0.1", *ports)
        wait_until(self._is_up, PATIENCE, lambda: self.log("server"))

    def make_node(
        self, name: str, role: str, root: Path, extra: str = "", minima: str = LOOSE_MINIMA
    ) -> Path:
        """A node's folder, let in by the server."""
        folder = self.home / f"node-{name}"
        settings = {"name": name, "role": role, "dataset": "folder", "root": str(root)}
        settings["server"] = f"localhost:{self.port}"
        make_node(folder, settings, self.certs)
        with (folder / "node.toml").open("a") as file:
            file.write(minima + extra)
        self.server.add_node(name, folder / "node.pub")
        return folder

    def start_node(self, name: str, **environment: str) -> None:
        self._start(name, "deploy", "node", str(self.home / f"node-{name}"), **environment)

    def submit(self, content: dict, out: Path) -> subprocess.Popen:
        """`fedseg deploy run` of a federation file."""
        path = self.home / f"{out.name}.toml"
        path.write_text(tomli_w.dumps(content))
        address = f"localhost:{self.admin_port}"
        command = [FEDSEG, "deploy", "run", str(path), "--server", address, "--out", str(out)]
        return subprocess.Popen(
            [*command, "--certs", str(self.certs)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=os.environ | {"COLUMNS": "200"},
        )

    def kill(self, name: str) -> None:
        """SIGKILL to the process that was started; those that it started must not outlive it."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes.pop(name).wait()
        wait_until_gone(self.state if name == "server" else self.home / f"node-{name}", 20)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=60)
        self.processes.clear()

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()[-4000:]

    def _start(self, name: str, *command: str, **environment: str) -> None:
        with (self.home / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [FEDSEG, *command],
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
                env=os.environ | {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5"} | environment,
            )

    def _is_up(self) -> bool:
        assert self.processes["server"].poll() is None, self.log("server")
        try:
            url = f"https://localhost:{self.port}/health"
            return httpx.get(url, verify=trusting(self.certs / "ca.crt")).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")  # its processes look for work all the time
def deployment(tmp_path_factory):
    """A server that is up; afterwards no process is left."""
    deployment = Deployment(tmp_path_factory.mktemp("deployment"))
    deployment.start_server()
    yield deployment
    deployment.stop()
    wait_until_gone(deployment.home, 60)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory):
    """Miniature datasets by name."""
    home = tmp_path_factory.mktemp("worlds")
    classes = {"one": (0, 2, 8, 10, 13), "two": (0, 2, 9, 10, 13)}
    return {
        name: make_world_in(home, name, classes.get(name, (0, 2, 8, 10, 13)), seed=seed)
        for seed, name in enumerate(("one", "two", "server", "held-out", "city"), start=1)
    }


@pytest.fixture(scope="module")
def nodes(deployment, worlds):
    """Two trainers, an evaluator, and a trainer that does not trust whoever signed the app."""
    deployment.make_node("one", "trainer", worlds["one"], SPARING)
    deployment.make_node("two", "trainer", worlds["two"], OWN_MODEL)
    deployment.make_node("city", "evaluator", worlds["city"])
    wary = deployment.make_node("wary", "trainer", worlds["one"])
    sign_app(deployment.home / "stranger")
    (wary / "trusted.yaml").write_bytes(trust(deployment.home / "stranger" / "app.pub"))
    for name in ("one", "two", "city", "wary"):
        deployment.start_node(name)
    return deployment


@pytest.fixture
def federation_content(worlds):
    """A federation file whose clients have nodes of their own."""
    return {
        "seed": 3,
        "model": dict(TINY_MODEL),
        "training": dict(TINY_TRAINING),
        "clients": [{"name": "one"}, {"name": "two"}],
        "server": {"dataset": "folder", "root": str(worlds["server"])},
        "evaluation": [{"name": "held-out", "dataset": "folder", "root": str(worlds["held-out"])}],
        "evaluators": [{"name": "city"}],
    }
