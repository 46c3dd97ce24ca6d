"""Certificates of any dates and kinds, as other tools make them."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
HOUR = timedelta(hours=1)


class Issued:
    """A certificate and its key, valid from some hours ago until some hours from now.

    Args:
        issuer: of the certificate; default: itself, an authority.
        since: hours from now.
        until: hours from now.
    """

    def __init__(self, issuer: "Issued | None" = None, since: float = -1, until: float = 24):
        self.key = ec.generate_private_key(ec.SECP256R1())
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {id(self)}")])
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(own)
            .issuer_name(issuer.certificate.subject if issuer else own)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since * HOUR)
            .not_valid_after(now + until * HOUR)
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
            .add_extension(x509.SubjectAlternativeName(names), False)
        )
        signer = issuer.key if issuer else self.key
        self.certificate = builder.sign(signer, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    def write(self, folder: Path, name: str) -> Path:
        """Write NAME.crt and NAME.key; returns the certificate's file."""
        folder.mkdir(exist_ok=True)
        private = self.key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(private)
        (folder / f"{name}.crt").write_bytes(self.pem)
        return folder / f"{name}.crt"
