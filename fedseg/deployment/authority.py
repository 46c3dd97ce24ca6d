"""Certificates that are given: read, dated by this machine's clock, and fitted together."""

import ssl
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from fedseg.deployment.credentials import describe, read_credential, unexpected
from fedseg.errors import FedsegError, first_line, plain

CA = "ca.crt"
"""File of the certificate of the server's authority."""
AUTHORITY = (
    "the certificate of the server's authority in PEM: `fedseg deploy certs` writes it, ca.crt"
)
OWN = "a certificate in PEM: `fedseg deploy certs` writes it"
OWN_KEY = "its private key in PEM, without a passphrase: `fedseg deploy certs` writes it"
MINUTES = "%Y-%m-%d %H:%M UTC"


def read_certificates(path: Path, wanted: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, at least one.

    Args:
        path: of the file.
        wanted: what it should hold, and who makes it.

    Raises:
        FedsegError: there is no such file, or no certificate in it.
    """
    content = read_credential(path, wanted)
    try:
        return x509.load_pem_x509_certificates(content)
    except Exception:  # the parser raises many kinds; the form of the file says more
        damaged = b"BEGIN CERTIFICATE-" in content
        found = "holds a certificate that can't be read" if damaged else describe(content)
        raise unexpected(path, found, wanted) from None


def read_key(path: Path) -> PrivateKeyTypes:
    """The private key of a certificate.

    Raises:
        FedsegError: there is no such file, no key in it, or one with a passphrase.
    """
    content = read_credential(path, OWN_KEY)
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise unexpected(path, "has a passphrase, which nobody could type", OWN_KEY) from None
    except Exception:
        is_key = b"PRIVATE KEY" in content
        found = "holds a private key that can't be read" if is_key else describe(content)
        raise unexpected(path, found, OWN_KEY) from None


def read_authority(path: Path) -> list[x509.Certificate]:
    """The root certificates of a file that can be trusted today.

    Raises:
        FedsegError: it holds none, or none that is valid by this machine's clock.
    """
    given = read_certificates(path, AUTHORITY)
    roots = [certificate for certificate in given if is_issued_by(certificate, certificate)]
    if not roots:
        found = f"holds a certificate issued by '{_common_name(given[0].issuer)}', not an authority"
        raise unexpected(path, found, AUTHORITY)
    valid = [root for root in roots if not validity_problem(root)]
    if not valid:
        check_validity(roots[0], path, "ask the server's owner for the ca.crt in use")
    return valid


def trusting(ca: Path) -> ssl.SSLContext:
    """A TLS context that trusts the authority of a file.

    Raises:
        FedsegError: see `read_authority`.
    """
    roots = read_authority(ca)
    content = b"".join(root.public_bytes(Encoding.DER) for root in roots)
    try:
        return ssl.create_default_context(cadata=content)
    except ssl.SSLError as error:
        raise FedsegError(f"{ca}: OpenSSL refuses it: {first_line(error)}") from None


def check_pair(certificate: Path, key: Path) -> list[x509.Certificate]:
    """See that a certificate is a private key's.

    Args:
        certificate: a PEM file; after the certificate, those of intermediate authorities may come.
        key: a PEM file.

    Returns:
        The certificates.

    Raises:
        FedsegError: either can't be read, or they do not belong together.
    """
    chain = read_certificates(certificate, OWN)
    public_key = read_key(key).public_key()
    fitting = [own.public_key() == public_key for own in chain]
    if not any(fitting):
        raise FedsegError(
            f"{key}: is not the key of {certificate}; put the two that `fedseg deploy certs` made "
            "together back, or make new ones in another folder"
        )
    if not fitting[0]:
        raise FedsegError(f"{certificate}: the certificate of {key} must come first in it")
    return chain


def check_issued(chain: list[x509.Certificate], certificate: Path, ca: Path) -> None:
    """See that certificates lead to an authority's.

    Args:
        chain: the certificates, each issued by the next, the last by the authority.
        certificate: the file that they come from.
        ca: the authority's file.

    Raises:
        FedsegError: they do not.
    """
    roots = read_authority(ca)
    linked = all(is_issued_by(own, issuer) for own, issuer in pairwise(chain))
    if not linked or not any(is_issued_by(chain[-1], root) for root in roots):
        raise FedsegError(
            f"{certificate}: was not issued by {ca}; take the one of this authority, or renew it "
            "with `fedseg deploy certs`"
        )


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate has an issuer's name and signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def check_validity(certificate: x509.Certificate, whose: object, remedy: str) -> None:
    """See that a certificate is valid by this machine's clock.

    Args:
        certificate: which.
        whose: file or address that it comes from, for errors.
        remedy: what to do where the clock is right.

    Raises:
        FedsegError: it is not valid yet, or has expired; with both times.
    """
    if problem := validity_problem(certificate):
        raise FedsegError(f"{whose}: {problem}; set the clock, or if it is right, {remedy}")


def validity_problem(certificate: x509.Certificate) -> str | None:
    """Say how a certificate is invalid by this machine's clock; None if it is valid."""
    now = datetime.now(UTC)
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if since <= now <= until:
        return None
    limit = f"is not valid before {since:{MINUTES}}"
    if now > until:
        limit = f"has expired at {until:{MINUTES}}"
    return f"the certificate {limit}, and this machine's clock says {now:{MINUTES}}"


def _common_name(name: x509.Name) -> str:
    """How a certificate calls somebody, without control characters."""
    return plain(name.rfc4514_string(), 100)
