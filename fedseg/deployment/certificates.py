"""A private certificate authority, and the server's certificate issued by it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedseg.deployment.admin_token import TOKEN, make_token
from fedseg.deployment.authority import check_issued, check_pair, check_validity, read_key
from fedseg.deployment.keys import algorithm
from fedseg.deployment.ports import parse_host
from fedseg.errors import FedsegError
from fedseg.files import PRIVATE, check_writable, write_bytes

CA_DAYS, SERVER_DAYS = 3650, 365
ALWAYS = ("localhost", "127.0.0.1")
"""The server's own processes reach it under these names."""


def make_certificates(folder: Path, hosts: list[str]) -> bool:
    """Write ca.crt, ca.key, server.crt, server.key, admin.token; where there is a ca.key, use that.

    A token that is there already is kept.

    Args:
        folder: where they go; made where it is not there.
        hosts: names and IP addresses under which the server is reached.

    Returns:
        Whether a new authority was made; else only the server's certificate is new.

    Raises:
        FedsegError: certificates without their authority's key are there already; a bad host.
    """
    names = list(dict.fromkeys(_general_name(host) for host in [*hosts, *ALWAYS]))
    check_writable(folder, "folder")
    is_new = not (folder / "ca.key").is_file()
    if is_new:
        for name in ("ca.crt", "server.crt", "server.key"):
            if (folder / name).exists():
                raise FedsegError(
                    f"{folder / name}: is there already, but no ca.key to renew it with; "
                    "put ca.key there or choose another folder"
                )
        _make_authority(folder)
    key, authority = _load_authority(folder)
    _make_server(folder, names, key, authority)
    if not (folder / TOKEN).is_file():
        make_token(folder / TOKEN)
    return is_new


def check_certificates(folder: Path) -> None:
    """See that a server can use the certificates in a folder.

    Raises:
        FedsegError: server.crt is not that of server.key, was not issued by ca.crt, is not valid
            now, or does not name this machine.
    """
    path = folder / "server.crt"
    chain = check_pair(path, folder / "server.key")
    check_issued(chain, path, folder / "ca.crt")
    check_validity(chain[0], path, "renew it with `fedseg deploy certs`")
    if missing := {_general_name(host) for host in ALWAYS} - set(_names(chain[0])):
        host = min(str(name.value) for name in missing)
        raise FedsegError(
            f"{path}: does not name {host}, under which the server's own processes reach it; "
            "`fedseg deploy certs` issues one that does"
        )


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Names and addresses that a certificate is good for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(found.value)


def _make_authority(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject("fedseg certificate authority")
    builder = _builder(name, name, key.public_key(), CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    _write(folder, "ca", key, builder.sign(key, hashes.SHA256()))


def _make_server(
    folder: Path,
    names: list[x509.GeneralName],
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(str(names[0].value))
    builder = _builder(subject, authority.subject, key.public_key(), SERVER_DAYS)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    for extension, critical in (
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (issuer, False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    _write(folder, "server", key, builder.sign(authority_key, hashes.SHA256()))


def _load_authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    path = folder / "ca.key"
    [authority, *_] = check_pair(folder / "ca.crt", path)
    remedy = "make a new authority in another folder and give its ca.crt to every node"
    check_validity(authority, folder / "ca.crt", remedy)
    key = read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FedsegError(
            f"{path}: holds {algorithm(key)} key, and fedseg's authorities have ECDSA keys; choose "
            "another folder"
        )
    return key, authority


def _general_name(host: str) -> x509.GeneralName:
    wildcard = "*." if host.startswith("*.") else ""
    parsed = parse_host(host.removeprefix(wildcard))
    if isinstance(parsed, str):
        return x509.DNSName(wildcard + parsed)
    if wildcard:
        raise FedsegError(f"'{host}': only a name can follow '*.'")
    return x509.IPAddress(parsed)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # other machines' clocks may be behind
        .not_valid_after(now + timedelta(days=days))
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_bytes(folder / f"{name}.key", private, mode=PRIVATE)
    write_bytes(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
