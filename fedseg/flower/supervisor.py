"""Runs a Flower app on this machine through Flower's simulation engine, and cleans up after it.

A run is ``flwr run`` against a SuperLink of its own, on a free port and with a Flower home of its
own, so it neither meets nor disturbs any other. A supervisor, which is this file run as a script,
starts both. It learns from a pipe when its caller is done or dead, however that came about, and
adopts every process that the run leaves behind: Flower, Ray and data loaders detach themselves.
"""

import contextlib
import ctypes
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

START_TIMEOUT = 120.0  # seconds; importing Flower alone can take a minute on a cold network disk
POLL_INTERVAL = 0.2  # seconds
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # from Linux's <sys/prctl.h>
NEEDED = {  # commands of processes whose death Flower notices after a minute, or never
    "flower-superexec": "flower-superexec, which starts the simulation, was killed",
    "flwr-simulation": "the simulation was killed, perhaps because memory ran out",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("http", "https", "socks5", "socks5h")
"""Kinds of proxies that the HTTP client knows."""
MOST_OF_AN_ERROR = 500
"""Characters of an error of Ray's or Flower's that are shown."""
MORE_MEMORY = "give this machine more memory, or lower batch_size and crop"
FLOWERS_OWN = (  # what Flower raises on top of the error that matters
    "RuntimeError: Simulation Runtime crashed.",
    "RuntimeError: An error was encountered. Ending simulation.",
)


class SimulationError(RuntimeError):
    """A simulation could not be started, or ended without a result."""


class Simulation:
    """A Flower app running in the background, from entering the ``with`` block to leaving it.

    Flower waits for a client that hangs even after the ServerApp has returned, so a caller also
    watches for the file that its ServerApp writes last::

        with Simulation(app, {"run": str(run)}, nodes=2, log=run / "flower.log") as simulation:
            while simulation.running() and not result.exists():
                time.sleep(0.2)
        if not result.exists():
            raise simulation.error()

    Args:
        app_dir: the folder with the app's pyproject.toml; it is only read.
        run_config: replaces values of the app's ``[tool.flwr.app.config]``; every path absolute.
        nodes: the number of clients.
        log: the file that receives all output.
        cpus: how many Ray may use; by default, as many as it finds.
        cpus_per_client: with ``gpus_per_client``, what Ray sets aside for one client, and so how
            many run at a time.
        gpus_per_client: may be a fraction; with 0 a client sees no GPU.
        ray_address: of a Ray cluster to join; by default, a new one on this machine is used.
        shared: folder that all machines of that cluster see, for the app and Flower's state.
    """

    def __init__(
        self,
        app_dir: Path,
        run_config: dict[str, str | int | float | bool],
        *,
        nodes: int,
        log: Path,
        cpus: int | None = None,
        cpus_per_client: int = 1,
        gpus_per_client: float = 0,
        ray_address: str | None = None,
        shared: Path | None = None,
    ) -> None:
        self.log = log.absolute()
        self._spec = {
            "app_dir": str(app_dir.absolute()),
            "run_config": run_config,
            "federation": {
                "num-supernodes": nodes,
                "client-resources-num-cpus": cpus_per_client,
                "client-resources-num-gpus": gpus_per_client,
                **({"init-args-num-cpus": cpus} if cpus and not ray_address else {}),
            },
            "ray_address": ray_address,
            "shared": str(shared.absolute()) if shared and ray_address else None,
        }

    def __enter__(self) -> "Simulation":
        """Starts the run. Raises SimulationError where the system cannot contain one."""
        if sys.platform != "linux":
            raise SimulationError("fedseg can simulate on Linux only (on Windows: WSL2).")
        with self.log.open("wb") as log:
            self._supervisor = subprocess.Popen(
                # -P: this file's folder must not become an import path
                [sys.executable, "-P", __file__, json.dumps(self._spec)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the caller; the supervisor sees the pipe
            )
        return self

    def running(self) -> bool:
        """False once the run has ended, well or not, and all its processes are gone."""
        return self._supervisor.poll() is None

    def error(self) -> SimulationError:
        """What went wrong, as far as the log tells."""
        reason = _last_error(self.log.read_text(encoding="utf-8", errors="replace"))
        return SimulationError(f"The simulation ended without a result: {reason} (log: {self.log})")

    def __exit__(self, *_: object) -> None:
        if self._supervisor.stdin:
            self._supervisor.stdin.close()
        self._supervisor.wait()


def _last_error(log: str) -> str:
    """What the last traceback, the last of Flower's error boxes or the supervisor says."""
    traceback = r"^ *Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)$"
    pattern = rf"{traceback}|^│ (.+?) *│$|^SimulationError: (.+)$"
    found = re.findall(pattern, re.sub(r"\x1b\[\d+m", "", log), flags=re.MULTILINE)
    errors = [text for groups in found for text in groups if text and text not in FLOWERS_OWN]
    return what_happened(errors[-1]) if errors else "the log tells no reason"


def what_happened(error: str) -> str:
    """An error of Ray's or Flower's in a line: what it means where that is known, else its start.

    Of a process that ran out of memory, Ray lists every process of the machine with its command.
    """
    from fedseg.errors import plain  # not at the top: the supervisor starts without fedseg

    if re.search(r"OutOfMemoryError|running low on memory", error) and "ray" in error:
        used = re.search(r"was ([\d.]+ ?GB) / ([\d.]+ ?GB)", error)
        amount = f" ({used[1]} of {used[2]} in use)" if used else ""
        return f"its process was ended because memory ran out{amount}; {MORE_MEMORY}"
    if re.search(r"ActorDiedError|ActorUnavailableError|WorkerCrashedError", error):
        return f"its process was killed, most often because memory ran out; {MORE_MEMORY}"
    return plain(error, MOST_OF_AN_ERROR)


# The supervisor


def _supervise(
    app_dir: str,
    run_config: dict[str, Any],
    federation: dict[str, Any],
    ray_address: str | None,
    shared: str | None,
) -> None:
    """Runs the app until it ends or the caller closes our standard input, then cleans up."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # a descendant whose parent dies becomes our child
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `finally` below gets its turn
    scratch = Path(tempfile.mkdtemp(prefix="fedseg-", dir=_short_temp_dir()))
    try:
        os.environ.update(_environment(scratch, Path(shared or scratch)))
        os.environ.pop("RAY_ADDRESS", None)  # Ray would join that cluster
        if ray_address:
            os.environ["RAY_ADDRESS"] = ray_address
        for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
            scheme, separator, _ = os.environ[name].partition("://")
            if separator and scheme not in PROXIES:  # Flower's client ends where it sees one
                del os.environ[name]
        _run(app_dir, run_config, federation, scratch)
    finally:
        _kill_descendants()
        shutil.rmtree(scratch, ignore_errors=True)


def die_with_parent() -> None:
    """Have a new process, between fork and exec, killed when the one that started it ends."""
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def exit_with_parent() -> None:
    """From now on this process ends at once when its parent does.

    Flower's processes watch their parents too, but ask their main thread to end, and one that waits
    for a lock, as in Flower's retries, does not notice.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="exit-with-parent", daemon=True).start()


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) failed")


def _short_temp_dir() -> str:
    """Ray puts sockets here: of the 107 bytes a socket's path may have, it takes 84 itself."""
    return folder if len(folder := tempfile.gettempdir()) <= 20 else "/tmp"


def direct_loopback() -> dict[str, str]:
    """Variables with which this machine reaches itself without a proxy."""
    known = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    hosts = [host.strip() for host in known.split(",") if host.strip()]
    value = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
    return {"NO_PROXY": value, "no_proxy": value}


def quiet_environment(home: Path) -> dict[str, str]:
    """Keeps Flower's state in one folder. `fedseg.NO_NETWORK` keeps it from calling home."""
    path = os.environ.get("PATH", os.defpath)
    return {
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), path]),
        "PYTHONDONTWRITEBYTECODE": "1",  # flwr imports the app from where it lies
        "PYTHONUNBUFFERED": "1",  # the log ends where a killed process ended
        "FLWR_HOME": str(home),
        **direct_loopback(),
    }


def _environment(scratch: Path, home: Path) -> dict[str, str]:
    """The same for a simulation, with Ray, and all else in the scratch folder."""
    return quiet_environment(home) | {
        "TMPDIR": str(scratch),
        "RAY_TMPDIR": str(scratch),
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "COLUMNS": "1000",  # each of Flower's errors on one line
    }


def _run(
    app_dir: str, run_config: dict[str, Any], federation: dict[str, Any], scratch: Path
) -> None:
    port = free_port()
    superlink = subprocess.Popen(
        f"flower-superlink --insecure --simulation --host 127.0.0.1 --port {port}".split(),
        stdin=subprocess.DEVNULL,
        # if this process is killed, the SuperLink ends, and everything that depends on it
        preexec_fn=die_with_parent,
        cwd=scratch,
    )
    _wait_until_healthy(superlink, port)
    home = Path(os.environ["FLWR_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(
        f'[superlink.fedseg]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    (scratch / "run.toml").write_text(  # a JSON scalar is a TOML value too
        "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in run_config.items()),
        encoding="utf-8",
    )
    client = subprocess.Popen(
        [
            *("flwr", "run", app_dir, "fedseg", "--stream", "--run-config", "run.toml"),
            *("--federation-config", " ".join(f"{k}={v}" for k, v in federation.items())),
        ],
        stdin=subprocess.DEVNULL,
        cwd=scratch,
    )
    _wait_until_over(superlink, client)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(superlink: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not _is_healthy(port):
        if superlink.poll() is not None or time.monotonic() > deadline:
            sys.exit("SimulationError: Flower's SuperLink did not start")
        _wait_or_exit()


def _is_healthy(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    return False


def _wait_until_over(superlink: subprocess.Popen[bytes], client: subprocess.Popen[bytes]) -> None:
    """Until the run is over, or can't go on."""
    seen: dict[str, psutil.Process | None] = {}
    while client.poll() is None:
        if superlink.poll() is not None:
            sys.exit("SimulationError: Flower's SuperLink died")
        for command, end in NEEDED.items():
            process = seen[command] = seen.get(command) or _find(command)
            if process and not _is_alive(process):
                try:
                    client.wait(timeout=2)  # it may still have the end of the log to print
                except subprocess.TimeoutExpired:
                    sys.exit(f"SimulationError: {end}")
        _wait_or_exit()


def _wait_or_exit() -> None:
    """Waits a moment. Exits if the caller has closed the pipe, which its death does too."""
    if select.select([sys.stdin], [], [], POLL_INTERVAL)[0]:
        sys.exit()


def _find(command: str) -> psutil.Process | None:
    """The descendant of ours that runs this command."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(command in word for word in process.cmdline()):
                return process
    return None


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _kill_descendants() -> None:
    """Kills our children till none is left: those of a killed one become ours."""
    with contextlib.suppress(ChildProcessError):  # there is none left
        while True:
            for process in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            os.waitpid(-1, 0)


if __name__ == "__main__":
    _supervise(**json.loads(sys.argv[1]))
