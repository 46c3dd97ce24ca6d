"""The token by which the owner of a server is known to its admin port. Needs no Flower."""

import re
import secrets
from pathlib import Path

from fedseg.deployment.authority import CA, trusting
from fedseg.deployment.ports import check_address
from fedseg.errors import FedsegError
from fedseg.files import PRIVATE, write_bytes

TOKEN = "admin.token"


def make_token(path: Path) -> None:
    """Write a new token to a file, readable by its owner only."""
    write_bytes(path, secrets.token_urlsafe(32).encode() + b"\n", mode=PRIVATE)


def read_token(path: Path) -> str:
    """Read a token.

    Raises:
        FedsegError: there is none, or others can read it.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
        is_open = path.stat().st_mode & 0o077
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no token"
        raise FedsegError(
            f"{path}: {reason}; the admin port asks for the token that `fedseg deploy certs` makes"
        ) from None
    if not re.fullmatch(r"[\w-]{32,256}", token):
        raise FedsegError(f"{path}: is no token; `fedseg deploy certs` makes one, {TOKEN}")
    if is_open:
        raise FedsegError(f"{path}: others can read it; run `chmod 600 {path}`")
    return token


def check_credentials(address: str, certs: Path) -> None:
    """See that a server can be asked, as far as is known without asking it.

    Args:
        address: HOST:PORT of its admin port.
        certs: folder of ca.crt, its authority's certificate, and admin.token.

    Raises:
        FedsegError: no such files, or no HOST:PORT.
    """
    check_address(address)
    trusting(certs / CA)
    read_token(certs / TOKEN)
