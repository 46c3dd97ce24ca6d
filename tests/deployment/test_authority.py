"""Certificates that are given, made with cryptography and OpenSSL."""

import re
import subprocess

import pytest

from fedseg.deployment.authority import read_authority, trusting
from fedseg.deployment.certificates import check_certificates, make_certificates
from fedseg.errors import FedsegError
from tests.deployment.issuing import Issued

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"


def refused(path):
    with pytest.raises(FedsegError) as caught:
        trusting(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_authority_is_valid_at_this_machines_time(tmp_path):
    assert len(read_authority(Issued().write(tmp_path, "good"))) == 1
    late = refused(Issued(since=2).write(tmp_path, "late"))
    assert re.search(rf"is not valid before {TIME}, and this machine's clock says {TIME}", late)
    expired = refused(Issued(since=-9, until=-2).write(tmp_path, "expired"))
    assert re.search(rf"has expired at {TIME}, and this machine's clock says {TIME}", expired)
    assert "set the clock" in late
    assert "set the clock" in expired


def test_a_file_that_is_no_authority_is_named(tmp_path):
    root = Issued()
    path = root.write(tmp_path, "root")
    server = Issued(root).write(tmp_path, "server")
    assert re.search(r"issued by 'CN=test \d+', not an authority; expected", refused(server))
    assert "holds a private key" in refused(path.with_suffix(".key"))
    der = tmp_path / "root.der"
    subprocess.run(["openssl", "x509", "-in", path, "-outform", "der", "-out", der], check=True)
    assert "is binary, perhaps DER" in refused(der)
    for content, found in (
        (b"", "is empty"),
        (b"ssh-ed25519 AAAA\n", "holds a public key in OpenSSH's format"),
        (b"\x00\x01", "is binary"),
        (path.read_bytes()[:200], "holds a certificate that can't be read"),
        (path.read_bytes().replace(b"MII", b"XXX"), "holds a certificate that can't be read"),
    ):
        (tmp_path / "file").write_bytes(content)
        message = refused(tmp_path / "file")
        assert found in message
        assert "`fedseg deploy certs` writes it, ca.crt" in message
    assert "No such file" in refused(tmp_path / "missing")


def test_a_bundle_is_used_for_the_roots_in_it_that_are_valid(tmp_path):
    old, new = Issued(since=-9, until=-2), Issued()
    path = tmp_path / "bundle.crt"
    comment = "Aussteller: Prüfstelle\n".encode()
    path.write_bytes(comment + Issued(new).pem + old.pem + new.pem)
    assert read_authority(path) == [new.certificate]
    assert len(trusting(path).get_ca_certs()) == 1


def test_a_self_signed_certificate_of_openssl_is_an_authority(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", tmp_path / "key", "-out", tmp_path / "crt"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    assert len(read_authority(tmp_path / "crt")) == 1


def test_a_server_uses_certificates_that_fit_together_only(tmp_path):
    make_certificates(tmp_path, ["localhost"])
    check_certificates(tmp_path)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    authority, stranger = Issued(), Issued()
    server = Issued(authority)
    own = {"ca.crt": authority.pem}
    late, expired = Issued(authority, since=3), Issued(authority, since=-9, until=-1)
    for issued, changes, expected in (
        (server, own, None),
        (server, own | {"server.crt": whole["server.crt"]}, "is not the key of"),
        (server, own | {"server.crt": authority.pem + server.pem}, "must come first"),
        (server, own | {"server.key": whole["ca.crt"]}, "holds 'CERTIFICATE' in PEM"),
        (server, own | {"server.key": b"\xff"}, "is binary"),
        (server, own | {"server.crt": whole["server.key"]}, "holds a private key"),
        (server, {"ca.crt": stranger.pem}, "was not issued by"),
        (late, own, "is not valid before"),
        (expired, own, "has expired at"),
    ):
        issued.write(tmp_path, "server")
        for name, content in changes.items():
            (tmp_path / name).write_bytes(content)
        if expected is None:
            check_certificates(tmp_path)
            continue
        with pytest.raises(FedsegError, match=expected):
            check_certificates(tmp_path)


def test_a_certificate_that_does_not_name_this_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fedseg.deployment.certificates.ALWAYS", ("localhost",))
    make_certificates(tmp_path, ["fed.example.org"])
    monkeypatch.undo()
    with pytest.raises(FedsegError, match=r"server\.crt: does not name 127\.0\.0\.1"):
        check_certificates(tmp_path)


def test_what_can_not_be_renewed_is_named(tmp_path):
    Issued(since=-9, until=-2).write(tmp_path, "ca")
    with pytest.raises(FedsegError, match=r"ca\.crt: .*expired.* make a new authority in another"):
        make_certificates(tmp_path, ["localhost"])
    Issued().write(tmp_path, "ca")
    (tmp_path / "ca.crt").write_bytes(Issued().pem)
    with pytest.raises(FedsegError, match=r"ca\.key: is not the key of .*ca\.crt"):
        make_certificates(tmp_path, ["localhost"])
    (tmp_path / "ca.crt").unlink()
    with pytest.raises(FedsegError, match=r"ca\.crt: No such file"):
        make_certificates(tmp_path, ["localhost"])
    assert not (tmp_path / "server.crt").exists()
