"""Key files in OpenSSH's format: ECDSA keys of nodes, Ed25519 keys that sign the app."""

import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedseg.deployment.credentials import OPENSSH, describe, read_credential, unexpected
from fedseg.files import PRIVATE, write_bytes


def write_private(path: Path, key: Any) -> None:
    """Write a private key to a file that its owner alone can read."""
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    write_bytes(path, content, mode=PRIVATE)


def write_public(path: Path, key: Any) -> None:
    """Write a public key to a file."""
    write_bytes(path, openssh(key) + b"\n")


def openssh(key: Any) -> bytes:
    """A public key as OpenSSH writes it."""
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def load_private(path: Path, kind: Any, wanted: str) -> Any:
    """Read a private key.

    Args:
        path: of the file.
        kind: what the key must be.
        wanted: the same in words, and who makes it.

    Raises:
        FedsegError: there is no such file, no key in it, one with a passphrase or of another kind.
    """
    content = read_credential(path, wanted)
    try:
        key = serialization.load_ssh_private_key(content, password=None)
    except TypeError:
        raise unexpected(path, "has a passphrase, which nobody could type", wanted) from None
    except Exception:  # the parsers raise many kinds; the form of the file says more
        found = describe(content)
        if b"PRIVATE KEY" in content and b"OPENSSH PRIVATE KEY" not in content:
            found = "holds a private key in another format than OpenSSH's"
        raise unexpected(path, found, wanted) from None
    return _of_kind(key, path, kind, wanted)


def load_node_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Read the public key of a node.

    Raises:
        FedsegError: no ECDSA public key in OpenSSH's format.
    """
    wanted = "a node's public key, ECDSA in OpenSSH's format: `fedseg deploy init` writes node.pub"
    key: ec.EllipticCurvePublicKey = load_public(path, ec.EllipticCurvePublicKey, wanted)
    return key


def load_public(path: Path, kind: Any, wanted: str) -> Any:
    """Read the one public key of a file; all else as for `load_private`."""
    content = read_credential(path, wanted)
    try:
        key = serialization.load_ssh_public_key(content)
    except Exception:
        found = describe(content)
        if OPENSSH.match(content):
            found += " that can't be read"
        raise unexpected(path, found, wanted) from None
    if b"\n" in content.strip():
        raise unexpected(path, "holds more than one line", wanted)
    return _of_kind(key, path, kind, wanted)


def _of_kind(key: Any, path: Path, kind: Any, wanted: str) -> Any:
    if not isinstance(key, kind):
        raise unexpected(path, f"holds {algorithm(key)} key", wanted)
    return key


def algorithm(key: Any) -> str:
    """What sort of key a private or public one is, with its article."""
    name = re.sub("(Public|Private)Key$", "", type(key).__name__)
    name = {"EC": "ECDSA", "EllipticCurve": "ECDSA"}.get(name, name)
    return f"{'an' if name[0] in 'AEIORX' else 'a'} {name}"
