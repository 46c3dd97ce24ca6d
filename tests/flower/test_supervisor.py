"""The launcher, tried on a small app of its own: what it starts, it also ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fedseg.flower.supervisor import Simulation, _last_error
from tests.processes import processes_of, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="simulations need Linux")

PYPROJECT = """
[project]
name = "launched"
version = "0.1.0"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "fedseg"

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "clients.app:app"

[tool.flwr.app.config]
out = ""
mode = ""
"""

CLIENT = """
import time
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

@app.train()
def train(message, context):
    if context.run_config["mode"] == "client hangs" and context.node_config["partition-id"] == 0:
        time.sleep(3600)
    return Message(RecordDict({"reply": MetricRecord({"one": 1})}), reply_to=message)
"""

SERVER = """
import time
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    out, mode = Path(context.run_config["out"]), context.run_config["mode"]
    (out / "started").touch()
    if mode == "server raises":
        raise ValueError("no such luck")
    while len(nodes := list(grid.get_node_ids())) < 2:
        time.sleep(0.1)
    wanted = 1 if mode == "client hangs" else 2
    pending = set(grid.push_messages(Message(RecordDict(), node, "train") for node in nodes))
    received = []
    while len(received) < wanted:
        replies = list(grid.pull_messages(pending))
        pending -= {reply.metadata.reply_to_message_id for reply in replies}
        received += replies
        time.sleep(0.1)
    (out / "result").write_text(str(sum(m.content["reply"]["one"] for m in received)))
"""


@pytest.fixture
def app(tmp_path):
    files = {"pyproject.toml": PYPROJECT, "server/app.py": SERVER, "clients/app.py": CLIENT}
    files |= {"server/__init__.py": "", "clients/__init__.py": ""}
    for name, text in files.items():
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "app"


@pytest.fixture
def temp_dir(monkeypatch):
    """A folder for everything temporary, short enough that Ray's sockets may lie in it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def environments() -> bytes:
    """Those of all processes that we may look into."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if path.parent.name != str(os.getpid()):
                found += path.read_bytes()
        except OSError:
            pass  # it ended, or is another user's
    return found


def run(app: Path, out: Path, mode: str, until: str) -> Simulation:
    """Runs the app until it ends, or has written this file."""
    config = {"out": str(out), "mode": mode}
    with Simulation(app, config, nodes=2, log=out / "flower.log") as simulation:
        while simulation.running() and not (out / until).exists():
            time.sleep(0.1)
    return simulation


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("mode", "until", "result"),
    [
        pytest.param("ok", "result", "2", marks=pytest.mark.slow),
        pytest.param("client hangs", "result", "1", marks=pytest.mark.slow),
        pytest.param("server raises", "result", None, marks=pytest.mark.slow),
        ("stopped early", "started", None),
    ],
)
def test_nothing_is_left_of_a_run(app, temp_dir, tmp_path, mode, until, result):
    out = tmp_path / 'a "run"'
    out.mkdir()
    files = sorted(app.rglob("*"))

    simulation = run(app, out, mode, until)

    written = (out / "result").read_text() if (out / "result").exists() else None
    assert written == result, (out / "flower.log").read_text()
    if mode == "server raises":
        assert "ValueError: no such luck (log: " in str(simulation.error())
    assert str(temp_dir).encode() not in environments()
    assert list(temp_dir.iterdir()) == []
    assert sorted(app.rglob("*")) == files


@pytest.mark.e2e
def test_a_superexec_that_dies_ends_the_run(app, temp_dir, tmp_path):
    """Nothing starts the ServerApp then, and Flower never notices."""
    config = {"out": str(tmp_path), "mode": "ok"}
    with Simulation(app, config, nodes=2, log=tmp_path / "flower.log") as simulation:
        wait_until(lambda: processes_of(temp_dir, "flwr\0run"), 60)
        time.sleep(1)  # till it has been seen
        (superexec,) = processes_of(temp_dir, "flower-superexec")
        os.kill(superexec, signal.SIGKILL)
        wait_until(lambda: not simulation.running(), 30)
    assert "flower-superexec, which starts the simulation, was killed" in str(simulation.error())
    assert str(temp_dir).encode() not in environments()


@pytest.mark.e2e
def test_an_app_that_flower_refuses(app, temp_dir, tmp_path):
    (app / "pyproject.toml").write_text("[project]\nname = 'launched'\n")
    simulation = run(app, tmp_path, "ok", "result")
    assert "Missing [tool.flwr.app] section" in str(simulation.error())


TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1\n    f()\n'


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (f"x\n{TRACEBACK}app.RunFailed: too few\nINFO : exit\n", "app.RunFailed: too few"),
        (
            f"{TRACEBACK}ValueError: no\n\n{TRACEBACK}RuntimeError: Simulation Runtime crashed.\n",
            "ValueError: no",
        ),
        ("╭─ Error ─╮\n│ bad key  │\n╰─────────╯\n", "bad key"),
        (f"{TRACEBACK}ValueError: old\nSimulationError: it died\n", "it died"),
        ("", "the log tells no reason"),
    ],
)
def test_last_error(log, reason):
    assert _last_error(log) == reason


def test_a_process_that_waits_for_a_lock_ends_with_its_parent():
    child = (
        "import threading; from fedseg.flower.supervisor import exit_with_parent as end;"
        "end();"
        "print('up', flush=True); lock = threading.Lock(); lock.acquire(); lock.acquire()"
    )
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    command = [sys.executable, "-c", parent, child]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        process.kill()
        assert process.stdout.read() == ""  # closed by the child's end: it holds the other one
