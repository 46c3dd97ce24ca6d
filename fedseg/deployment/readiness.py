"""What a server needs before it starts. Needs no Flower."""

from pathlib import Path

from fedseg.deployment.admin_token import TOKEN, read_token
from fedseg.deployment.certificates import check_certificates
from fedseg.deployment.ports import check_port
from fedseg.deployment.signing import SIGNED
from fedseg.errors import FedsegError
from fedseg.files import check_writable
from fedseg.flower.loopback import HOST, check_loopback

FILES = ("ca.crt", "server.crt", "server.key", TOKEN, SIGNED)


def check_ready(certificates: Path, state: Path, host: str, port: int, admin_port: int) -> None:
    """See that a server can start; arguments as of `server.serve`.

    Raises:
        FedsegError: a file is missing, a port can't be used, the state folder can't be written to,
            or this machine has no loopback interface.
    """
    check_loopback()
    for name in FILES:
        if not (certificates / name).is_file():
            raise FedsegError(
                f"{certificates / name}: no such file; make it with `fedseg deploy certs` or "
                "`fedseg deploy sign`"
            )
    check_certificates(certificates)
    read_token(certificates / TOKEN)
    check_writable(state, "--state")
    if port == admin_port:
        raise FedsegError(f"--port and --admin-port are both {port}; choose another for one")
    check_port(host, port, "--port")
    check_port(HOST, admin_port, "--admin-port")
