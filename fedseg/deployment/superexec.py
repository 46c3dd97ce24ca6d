"""Flower's SuperExec, the process that starts apps.

It asks a SuperLink or a SuperNode on this machine what to start. Other users of the machine reach
that port too, so SuperExec signs its requests with a secret that only this user can read, and the
apps get the tokens that they sign theirs with where nobody else sees them.

Run as a script: `python -m fedseg.deployment.superexec [option ...]`, with the options of
`flower-superexec`.
"""

import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fedseg.files import PRIVATE, write_bytes
from fedseg.flower.supervisor import die_with_parent

SECRET = "superexec.secret"


def make_secret(folder: Path) -> Path:
    """Write a new secret to a folder; returns its file, readable by its owner only."""
    path = folder / SECRET
    write_bytes(path, secrets.token_bytes(32), mode=PRIVATE)
    return path


def start(
    address: str,
    secret: Path,
    ca: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a SuperExec, which ends when this process does.

    Args:
        address: HOST:PORT that it asks.
        secret: file of the secret.
        ca: certificate of the address's authority; None where it does not speak TLS.
        environment: of the process; default: this one's.
    """
    tls = ["--insecure"] if ca is None else ["--root-certificates", str(ca)]
    command = [sys.executable, "-P", "-m", "fedseg.deployment.superexec", *tls]
    command += ["--runtime-api-address", address, "--superexec-auth-secret-file", str(secret)]
    return subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)


if __name__ == "__main__":
    from fedseg.flower.internals import run_superexec  # it imports Flower

    run_superexec(sys.argv[1:])
