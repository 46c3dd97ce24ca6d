"""Files of keys and certificates that a person gives: read in part, and named for what they are."""

import re
from pathlib import Path

from fedseg.errors import FedsegError, plain

MOST_BYTES = 2**20
"""Largest file of keys or certificates that is read, in bytes."""
LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
OPENSSH = re.compile(rb"(ssh|ecdsa|sk)-[\w@.-]+ ")
"""Start of a public key in OpenSSH's format."""


def read_credential(path: Path, wanted: str) -> bytes:
    """The content of a file of keys or certificates.

    Args:
        path: of the file.
        wanted: what it should hold, and who makes it.

    Raises:
        FedsegError: it can't be read, or is far too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FedsegError(f"{plain(path)}: {reason}; expected {wanted}") from None
    if len(content) > MOST_BYTES:
        raise unexpected(path, "is far too large", wanted)
    return content


def describe(content: bytes) -> str:
    """What a file holds, as far as its form tells."""
    if not content.strip():
        return "is empty"
    labels = [label.decode() for label in LABEL.findall(content)]
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return "holds a private key, which its owner must keep"
    if labels:
        return f"holds '{labels[0]}' in PEM"
    if b"BEGIN SSH2 PUBLIC KEY" in content:
        return "holds a public key in RFC 4716's format"
    if OPENSSH.match(content):
        return "holds a public key in OpenSSH's format"
    if content[:1] == b"\x30" and not content.isascii():
        return "is binary, perhaps DER"
    try:
        is_text = "\0" not in content.decode()
    except UnicodeDecodeError:
        is_text = False
    return "is text, but holds no key or certificate" if is_text else "is binary"


def unexpected(path: Path, found: str, wanted: str) -> FedsegError:
    """The error for a file that holds something else."""
    return FedsegError(f"{plain(path)}: {found}; expected {wanted}")
