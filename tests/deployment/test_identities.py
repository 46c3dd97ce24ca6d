"""Certificates, keys and signatures, against the standard library's TLS and Flower's own checks."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.cli.supernode.register import try_load_public_key
from typer.testing import CliRunner

from fedseg.cli.main import app
from fedseg.deployment import signing
from fedseg.deployment.authority import trusting
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.check import check_node
from fedseg.deployment.connection import unreachable
from fedseg.deployment.control import Server
from fedseg.deployment.identity import OPTIONAL, load_key, make_node, open_node
from fedseg.deployment.keys import openssh, write_private, write_public
from fedseg.errors import FedsegError
from fedseg.flower.internals import is_signed
from fedseg.participants.node import Minima, Node

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


def make_signer(folder):
    """The key pair of `fedseg deploy sign`, without the app, which takes long to pack."""
    key = Ed25519PrivateKey.generate()
    write_private(folder / "app.key", key)
    write_public(folder / "app.pub", key.public_key())


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


def test_nothing_is_overwritten(certs):
    (certs / "ca.key").unlink()
    with pytest.raises(FedsegError, match=r"ca\.crt: is there already"):
        make_certificates(certs, ["localhost"])


@pytest.mark.parametrize("host", ["192.168.001.005", "https://x.org", "x.org:9092", "", "::gg"])
def test_what_is_no_host_is_refused(tmp_path, host):
    with pytest.raises(FedsegError, match="no host name and no IP address"):
        make_certificates(tmp_path / "certs", [host])
    assert not (tmp_path / "certs").exists()


def test_names_and_addresses_stand_apart_in_the_certificate(tmp_path):
    hosts = ["Fed.Example.org", "bücher.example", "*.example.org", "192.0.2.7", "2001:DB8::7"]
    make_certificates(tmp_path, [*hosts, "2001:db8::7"])
    command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in"]
    done = subprocess.run([*command, tmp_path / "server.crt"], capture_output=True, check=True)
    assert [word.strip() for word in done.stdout.decode().splitlines()[1].split(",")] == [
        "DNS:fed.example.org",
        "DNS:xn--bcher-kva.example",
        "DNS:*.example.org",
        "IP Address:192.0.2.7",
        "IP Address:2001:DB8:0:0:0:0:0:7",
        "DNS:localhost",
        "IP Address:127.0.0.1",
    ]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002], ids=oct)
def test_keys_alone_are_private_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        make_certificates(tmp_path / "certs", ["localhost"])
        make_signer(tmp_path / "certs")
        make_node(tmp_path / "node", SETTINGS, tmp_path / "certs")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    secret = {path.name for path in files if path.suffix in (".key", ".token")}
    assert secret == {"ca.key", "server.key", "app.key", "admin.token", "node.key"}
    for path in files:
        expected = 0o600 if path.name in secret else 0o666 & ~umask
        assert path.stat().st_mode & 0o777 == expected, path


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
    make_node(tmp_path / "node", SETTINGS, certs)
    assert b"BEGIN PUBLIC KEY" in try_load_public_key(tmp_path / "node" / "node.pub")
    public = openssh(load_key(tmp_path / "node").public_key())
    assert (tmp_path / "node" / "node.pub").read_bytes().strip() == public
    assert (tmp_path / "node" / "node.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "node" / "ca.crt").read_bytes() == (certs / "ca.crt").read_bytes()
    with pytest.raises(FedsegError, match="holds a node already"):
        make_node(tmp_path / "node", SETTINGS, certs)


def test_the_comments_in_a_nodes_file_name_every_setting():
    lines = OPTIONAL.strip().splitlines()[1:]
    tables = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))
    node = Node(**SETTINGS, **tables)
    for table in (node.model, node.limits, node.minima, node.privacy):
        assert table.model_fields_set == type(table).model_fields.keys()
    assert node.minima == Minima()  # given as defaults


def test_a_node_is_made_whole_or_not_at_all(certs, tmp_path):
    def fails(settings, certificate, expected):
        given = tmp_path / "given"
        given.mkdir(exist_ok=True)
        shutil.copy(certs / certificate, given / "ca.crt")
        with pytest.raises(FedsegError, match=expected):
            make_node(tmp_path / "node", settings, given)
        assert not (tmp_path / "node").exists()

    fails(SETTINGS, "ca.crt", r"app\.pub: No such file")  # nobody has signed the app yet
    make_signer(tmp_path / "given")
    fails(SETTINGS | {"role": "boss"}, "ca.crt", "expected 'trainer' or 'evaluator'")
    fails(SETTINGS | {"server": "192.168.001.005:9092"}, "ca.crt", "without leading zeros")
    fails(SETTINGS, "server.crt", r"ca\.crt: .*")
    fails(SETTINGS, "ca.key", r"ca\.crt: holds a private key")
    (tmp_path / "given" / "ca.crt").unlink()
    with pytest.raises(FedsegError, match=r"ca\.crt: No such file"):
        make_node(tmp_path / "node", SETTINGS, tmp_path / "given")
    assert not (tmp_path / "node").exists()


def test_a_node_does_not_start_without_keys_that_it_trusts(certs, tmp_path):
    """Flower's SuperNode would fail on such a file, and be started again for ever."""
    make_signer(certs)
    folder = tmp_path / "node"
    make_node(folder, SETTINGS, certs)
    assert open_node(folder).name == SETTINGS["name"]
    (folder / "trusted.yaml").write_text("text")
    with pytest.raises(FedsegError, match="does not hold Ed25519 public keys by name"):
        open_node(folder)
    (folder / "trusted.yaml").unlink()
    with pytest.raises(FedsegError, match=r"trusted\.yaml: no such file"):
        open_node(folder)


def test_the_commands_say_what_comes_next(certs, tmp_path):
    signing.sign_app(certs)
    folder = tmp_path / "node"
    options = "--name one --role trainer --dataset folder --server localhost:1"
    done = CliRunner().invoke(
        app, ["deploy", "init", str(folder), *options.split(), "--certs", str(certs)]
    )
    assert done.exit_code == 0
    assert "fedseg deploy nodes --add one node.pub" in done.output
    checked = CliRunner().invoke(app, ["deploy", "node", str(folder), "--check"])
    assert checked.exit_code != 0
    assert "✓ configuration" in checked.output
    assert "✗ data: folder: no root" in checked.output
    assert "✗ server: localhost:1: nothing listens there" in checked.output


def test_a_key_is_not_taken_for_a_token_nor_a_name_for_a_key(certs, tmp_path):
    shutil.copytree(certs, other := tmp_path / "other")
    shutil.copy(certs / "server.key", other / "admin.token")
    expected = r"admin\.token: is no token; `fedseg deploy certs` makes one"
    with pytest.raises(FedsegError, match=expected):
        Server("localhost:1", other)
    key = tmp_path / "node.pub"
    key.touch()
    with pytest.raises(
        FedsegError, match=r"the name comes first: `fedseg deploy nodes --add one .*pub`"
    ):
        Server("localhost:1", certs).add_node(str(key), Path("one"))


def test_the_two_halves_of_a_nodes_key_fit(certs, tmp_path):
    make_signer(certs)
    node, other = tmp_path / "node", tmp_path / "other"
    for folder in (node, other):
        make_node(folder, SETTINGS, certs)
    (node / "node.pub").write_bytes((other / "node.pub").read_bytes())
    [key] = [line for line in check_node(node) if line.what == "key"]
    assert not key.is_good
    assert "is not the public half of node.key" in key.found
