"""What many clients, and large uploads, cost: seconds, and the peak memory of each kind of process.

Whoever trains has four small images and one step to make: what is measured is all the rest.

    python benchmarks/scale.py clients 4 64   # simulated, tiny models
    python benchmarks/scale.py uploads        # deployed: four of 500 MB each
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import tomli_w
import typer
from PIL import Image
from rich.console import Console

from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.control import Server
from fedseg.deployment.identity import make_node
from fedseg.deployment.signing import sign_app
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.flower.supervisor import free_port

FEDSEG = str(Path(sys.executable).parent / "fedseg")
TINY = {"arch": "fpn", "encoder": "tu-lcnet_050", "encoder_weights": "none"}
LARGE = {"arch": "unet", "encoder": "senet154", "encoder_weights": "none"}
TRAINING = {"iterations": 1, "batch_size": 2, "crop": [32, 64]}
MINIMA = "\n[minima]\niterations = 1\nbatch_size = 2\nimages = 1\ncrop = 32\n"
"""What a node's owner says so that it is allowed."""
KINDS = {
    "SuperLink": ("flower-superlink", "fedseg deploy server"),
    "ServerApp": ("flwr-serverapp", "flwr-simulation"),
    "SuperNode": ("verified_supernode",),
    "ClientApp": ("flwr-clientapp", "ray::ClientApp"),
}
"""What the command lines of processes hold, simulated and deployed."""
ALLOWED_GB, ALLOWED_RATIO = 2.0, 1.1

app = typer.Typer(add_completion=False)


@app.command()
def clients(numbers: Annotated[list[int], typer.Argument()]) -> None:
    """Simulate federations of so many clients; the server must not need more memory for more."""
    needed = []
    for number in numbers:
        with tempfile.TemporaryDirectory() as home, peaks() as peak:
            names = [f"client-{index}" for index in range(number)]
            data = make_dataset(Path(home) / "data")
            own = {"dataset": "folder", "root": str(data)}
            content = federation([{"name": name} | own for name in names], data)
            seconds = run(["simulate"], Path(home), content)
        report(f"{number} simulated clients", seconds, peak)
        needed.append(peak["ServerApp"])
    raise typer.Exit(max(needed) > ALLOWED_RATIO * needed[0])


@app.command()
def uploads(number: int = 4) -> None:
    """Deploy a server and so many nodes whose models are large."""
    with tempfile.TemporaryDirectory() as folder, peaks() as peak, contextlib.ExitStack() as stack:
        home, certs = Path(folder), Path(folder) / "certs"
        data = make_dataset(home / "data")
        make_certificates(certs, ["localhost"])
        sign_app(certs)
        port, admin_port = str(free_port()), str(free_port())
        where = ["--certs", str(certs), "--state", str(home / "state"), "--host", "127.0.0.1"]
        ports = ["--port", port, "--admin-port", admin_port]
        stack.enter_context(started(home / "server.log", "deploy", "server", *where, *ports))
        server = Server(f"localhost:{admin_port}", certs)
        wait_for(server)
        names = [f"client-{index}" for index in range(number)]
        for name in names:
            node = {"name": name, "role": "trainer", "dataset": "folder", "root": str(data)}
            make_node(home / name, node | {"server": f"localhost:{port}"}, certs)
            with (home / name / "node.toml").open("a") as file:
                file.write(MINIMA)
            server.add_node(name, home / name / "node.pub")
            stack.enter_context(started(home / f"{name}.log", "deploy", "node", str(home / name)))
        content = federation([{"name": name, "model": LARGE} for name in names], data)
        asked = ["--server", server.address, "--certs", str(certs)]
        seconds = run(["deploy", "run"], home, content, *asked)
        size = read_json(home / "run" / "result.json")["clients"][names[0]]["bytes"]
    report(f"{number} uploads of {size / 1e6:.0f} MB", seconds, peak)
    raise typer.Exit(max(peak["SuperLink"], peak["ServerApp"]) > ALLOWED_GB)


def federation(clients: list[dict], data: Path) -> dict:
    """A federation file whose global model is tiny."""
    source = {"dataset": "folder", "root": str(data)}
    return {
        "model": TINY,
        "training": TRAINING,
        "clients": clients,
        "server": source | {"distillation": {"training": {"iterations": 1}}},
        "evaluation": [{"name": "held-out"} | source],
    }


def make_dataset(root: Path, images: int = 4) -> Path:
    """Images of rectangles, and their labels."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(images):
        label = rng.integers(0, 19, (3, 5), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
        Image.fromarray(label).save(root / "labels" / f"{index}.png")
        Image.fromarray(np.stack([13 * label] * 3, axis=-1)).save(root / "images" / f"{index}.png")
    return root


def run(command: list[str], home: Path, content: dict, *options: str) -> float:
    """Seconds that a federation takes in which every client is to be good."""
    path, out = home / "federation.toml", home / "run"
    path.write_text(tomli_w.dumps(content))
    begun = time.monotonic()
    subprocess.run(
        [FEDSEG, *command, str(path), "--out", str(out), *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - begun
    bad = {n: c for n, c in read_json(out / "result.json")["clients"].items() if "reason" in c}
    assert not bad, bad
    return seconds


@contextlib.contextmanager
def started(log: Path, *command: str) -> Iterator[None]:
    """A command that runs in the background."""
    with log.open("w") as file:
        process = subprocess.Popen([FEDSEG, *command], stdout=file, stderr=file)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def wait_for(server: Server, seconds: float = 120.0) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            server.nodes()
            return
        except FedsegError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@contextlib.contextmanager
def peaks() -> Iterator[dict[str, float]]:
    """Within it the processes that are started are watched: by kind, the most memory of any one.

    Yields:
        Gigabytes by kind, filled meanwhile: resident memory at its peak, as the kernel kept it.
    """
    mark = f"FEDSEG_SCALE={time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    os.environ[name] = value
    found: dict[str, float] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it ended meanwhile
                    if mark.encode() in (process / "environ").read_bytes():
                        look(process, found)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def look(process: Path, found: dict[str, float]) -> None:
    """Note the peak memory of one process, a folder of /proc."""
    line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    for kind, signs in KINDS.items():
        if peak and any(sign in line for sign in signs):
            found[kind] = max(found.get(kind, 0.0), int(peak[1]) * 1024 / 1e9)


def report(what: str, seconds: float, peak: dict[str, float]) -> None:
    shown = ", ".join(f"{kind} {peak[kind]:.2f}" for kind in KINDS if kind in peak)
    Console().print(f"{what}: {seconds:.0f} s; peak memory in GB: {shown}")


if __name__ == "__main__":
    app()
