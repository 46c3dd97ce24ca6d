"""Certificates, keys and signatures, against the standard library's TLS and Flower's own checks."""

import json
import socket
import ssl
import threading
import tomllib

import pytest
from flwr.cli.supernode.register import try_load_public_key
from typer.testing import CliRunner

from fedseg.cli.main import app
from fedseg.deployment import signing
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.connection import unreachable
from fedseg.deployment.credentials import trusting
from fedseg.deployment.identity import OPTIONAL, load_key, make_node
from fedseg.deployment.keys import openssh
from fedseg.errors import FedsegError
from fedseg.flower.internals import is_signed
from fedseg.participants.node import Node, UploadOptions

SETTINGS = {"name": "one", "role": "trainer", "dataset": "folder", "server": "localhost:1"}


def reach(folder, ca, name):
    """Make a TLS connection to a server with that folder's certificate, under a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    ours, theirs = socket.socketpair()

    def serve():
        try:
            context.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    strict = trusting(ca)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 asks for
    try:
        strict.wrap_socket(ours, server_hostname=name).close()
    finally:
        ours.close()
        thread.join()


@pytest.fixture
def certs(tmp_path):
    make_certificates(tmp_path / "certs", ["fed.example.org", "192.0.2.7", "2001:db8::7"])
    return tmp_path / "certs"


@pytest.mark.parametrize(
    "name", ["fed.example.org", "192.0.2.7", "2001:db8::7", "localhost", "127.0.0.1"]
)
def test_the_certificate_is_good_for_every_name(certs, name):
    reach(certs, certs / "ca.crt", name)


def test_another_name_or_authority_is_refused_in_plain_words(certs, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        reach(certs, certs / "ca.crt", "other.example.org")
    assert "does not name this host" in str(unreachable("host:1", caught.value))
    make_certificates(tmp_path / "other", ["fed.example.org"])
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        reach(certs, tmp_path / "other" / "ca.crt", "fed.example.org")
    assert "of another authority" in str(unreachable("host:1", caught.value))


def test_renewing_keeps_the_authority(certs):
    before = {path.name: path.read_bytes() for path in certs.iterdir()}
    assert not make_certificates(certs, ["new.example.org"])
    after = {path.name: path.read_bytes() for path in certs.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"server.crt", "server.key"}
    reach(certs, certs / "ca.crt", "new.example.org")


def test_nothing_is_overwritten_and_keys_are_private(certs):
    for key in ("ca.key", "server.key"):
        assert (certs / key).stat().st_mode & 0o777 == 0o600
    (certs / "ca.key").unlink()
    with pytest.raises(FedsegError, match=r"ca\.crt: is there already"):
        make_certificates(certs, ["localhost"])


@pytest.mark.parametrize("host", ["https://x.org", "x.org:9092", "", "zwei wörter"])
def test_what_is_no_host_is_refused(tmp_path, host):
    with pytest.raises(FedsegError, match="no host name and no IP address"):
        make_certificates(tmp_path / "certs", [host])
    assert not (tmp_path / "certs").exists()


def test_flower_accepts_the_signature_of_whom_the_node_trusts_only(certs, tmp_path):
    app_file = signing.sign_app(certs)
    fab = signing.read_signed(app_file)
    trusted = json.loads(signing.trust(certs / "app.pub"))
    assert is_signed(fab, trusted)
    signing.sign_app(tmp_path / "stranger")
    assert not is_signed(fab, json.loads(signing.trust(tmp_path / "stranger" / "app.pub")))
    fab.content += b"\0"
    assert not is_signed(fab, trusted)
    key = (certs / "app.key").read_bytes()
    signing.sign_app(certs)
    assert (certs / "app.key").read_bytes() == key


def test_a_nodes_key_is_what_flower_wants(certs, tmp_path):
    signing.sign_app(certs)
    make_node(tmp_path / "node", SETTINGS, certs / "ca.crt", None)
    assert b"BEGIN PUBLIC KEY" in try_load_public_key(tmp_path / "node" / "node.pub")
    public = openssh(load_key(tmp_path / "node").public_key())
    assert (tmp_path / "node" / "node.pub").read_bytes().strip() == public
    assert (tmp_path / "node" / "node.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FedsegError, match="holds a node already"):
        make_node(tmp_path / "node", SETTINGS, certs / "ca.crt", None)


def test_the_comments_in_a_nodes_file_name_every_setting():
    lines = OPTIONAL.strip().splitlines()[1:]
    tables = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))
    node = Node(**SETTINGS, **tables)
    for table in (node.model, node.limits, node.upload, node.privacy):
        assert table.model_fields_set == type(table).model_fields.keys()
    assert node.upload == UploadOptions()  # given as defaults


def test_a_node_is_made_whole_or_not_at_all(certs, tmp_path):
    for settings, ca in (
        (SETTINGS, certs / "ca.crt"),  # nobody has signed the app yet
        (SETTINGS, tmp_path / "nowhere.crt"),
        (SETTINGS | {"role": "boss"}, certs / "ca.crt"),
    ):
        with pytest.raises(FedsegError):
            make_node(tmp_path / "node", settings, ca, None)
        assert not (tmp_path / "node").exists()


def test_the_commands_say_what_comes_next(certs, tmp_path):
    signing.sign_app(certs)
    folder = tmp_path / "node"
    options = "--name one --role trainer --dataset folder --server localhost:1"
    done = CliRunner().invoke(
        app, ["node", "init", str(folder), *options.split(), "--ca", str(certs / "ca.crt")]
    )
    assert done.exit_code == 0
    assert "fedseg server add one node.pub" in done.output
    checked = CliRunner().invoke(app, ["node", "check", str(folder)])
    assert checked.exit_code != 0
    assert "✓ configuration" in checked.output
    assert "✗ data: folder: no root" in checked.output
    assert "✗ server: localhost:1: nothing listens there" in checked.output
