import errno
import os
import socket
import subprocess
import sys

import pytest

from fedseg.errors import FedsegError
from fedseg.flower.loopback import check_loopback

NAMESPACE = ["unshare", "--net", "--map-root-user"]
"""Runs a command where there is no network, and where the loopback interface is down."""


def test_a_machine_that_reaches_itself_passes():
    check_loopback()


@pytest.mark.parametrize("function", ["create_server", "create_connection"])
def test_one_that_does_not_is_told_what_to_do(monkeypatch, function):
    def fail(*_):
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    monkeypatch.setattr(socket, function, fail)
    with pytest.raises(FedsegError, match=r"\(Network is unreachable\).*: ip link set lo up"):
        check_loopback()


@pytest.mark.parametrize(
    "command",
    [
        ["simulate", "--out", "run"],
        ["check"],
        ["report", "--watch", "run"],
        ["deploy", "node", "node"],
        ["deploy", "server", "--certs", "certs", "--state", "state"],
    ],
    ids=" ".join,
)
def test_commands_without_a_loopback_interface_end_at_once(command, tmp_path):
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("network namespaces are not permitted here")
    (tmp_path / "run").mkdir()
    code = """
import sys
sys.modules.update(torch=None, ray=None, flwr=None)
from fedseg.cli.main import main
main()
"""
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", code, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert len((done.stdout + done.stderr).splitlines()) == 1
    assert "ip link set lo up" in done.stdout + done.stderr
    assert not any((tmp_path / "run").iterdir())
