"""Key files in OpenSSH's format: ECDSA keys of nodes, Ed25519 keys that sign the app."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedseg.errors import FedsegError, first_line
from fedseg.files import write_bytes


def write_private(path: Path, key: Any) -> None:
    """Write a private key to a file that its owner alone can read."""
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    write_bytes(path, content, mode=0o600)


def write_public(path: Path, key: Any) -> None:
    """Write a public key to a file that everyone can read."""
    write_bytes(path, openssh(key) + b"\n")


def openssh(key: Any) -> bytes:
    """A public key as OpenSSH writes it."""
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def load_private(path: Path, kind: Any, wanted: str) -> Any:
    """Read a private key.

    Args:
        path: of the file.
        kind: what the key must be.
        wanted: the same in words, and what to do where it is something else.

    Raises:
        FedsegError: there is no such file, no key in it, one with a passphrase or of another kind.
    """
    read = partial(serialization.load_ssh_private_key, password=None)
    return _load(path, read, "private", kind, wanted)


def load_public(path: Path, kind: Any, wanted: str) -> Any:
    """Read a public key; all else as for `load_private`."""
    return _load(path, serialization.load_ssh_public_key, "public", kind, wanted)


def load_node_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Read the public key of a node.

    Raises:
        FedsegError: no ECDSA public key in OpenSSH's format.
    """
    wanted = "node's key; `fedseg node init` makes one, node.pub"
    return load_public(path, ec.EllipticCurvePublicKey, wanted)


def _load(path: Path, read: Callable[[bytes], Any], half: str, kind: Any, wanted: str) -> Any:
    try:
        key = read(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise FedsegError(f"{path}: can't be read as a {half} key: {first_line(error)}") from None
    if not isinstance(key, kind):
        raise FedsegError(f"{path}: is no {wanted}")
    return key
