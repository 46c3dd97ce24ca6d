"""Files of keys, as OpenSSH and OpenSSL write them."""

import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedseg.deployment import keys, signing
from fedseg.deployment.control import read_public_key
from fedseg.errors import FedsegError


def run(*command):
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Keys of several kinds and formats, and files that are none."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in ("rsa", "ecdsa", "ed25519"):
        run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", folder / kind)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "a phrase", "-f", folder / "phrase")
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "pkcs8")
    run("openssl", "pkey", "-in", folder / "pkcs8", "-pubout", "-out", folder / "spki")
    public = (folder / "ed25519.pub").read_bytes()
    for name, content in {
        "empty": b"",
        "text": b"hello\n",
        "binary": b"\x80\x00\xff" * 50,
        "large": bytes(2**21),
        "two": public + public,
        "cut": public[:40],
        "utf-16": public.decode().encode("utf-16"),
    }.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rsa.pub", "holds an RSA key"),
        ("ecdsa.pub", "holds an ECDSA key"),
        ("ed25519", "holds a private key"),
        ("pkcs8", "holds a private key"),
        ("spki", "holds 'PUBLIC KEY' in PEM"),
        ("empty", "is empty"),
        ("text", "is text, but holds no key"),
        ("binary", "is binary"),
        ("large", "is far too large"),
        ("two", "holds more than one line"),
        ("cut", "a public key in OpenSSH's format that can't be read"),
        ("utf-16", "is binary"),
        ("", "Is a directory"),
        ("missing", "No such file"),
    ],
)
def test_a_file_that_is_no_signers_key_is_named(made, name, found):
    expected = (
        rf"{found}.*; expected .* Ed25519 in OpenSSH's format: `fedseg deploy sign` writes it"
    )
    with pytest.raises(FedsegError, match=expected) as caught:
        signing.trust(made / name)
    assert "\n" not in str(caught.value)


def test_keys_of_openssh_itself_are_read(made):
    assert b"ssh-ed25519" in signing.trust(made / "ed25519.pub")
    assert b"BEGIN PUBLIC KEY" in read_public_key(made / "ecdsa.pub")
    with pytest.raises(FedsegError, match="holds an Ed25519 key; expected a node's public key"):
        read_public_key(made / "ed25519.pub")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ecdsa", "holds an ECDSA key"),
        ("phrase", "has a passphrase"),
        ("pkcs8", "holds a private key in another format than OpenSSH's"),
        ("ed25519.pub", "holds a public key"),
        ("binary", "is binary"),
        ("missing", "No such file"),
    ],
)
def test_a_private_key_of_another_kind_is_named(made, name, found):
    assert keys.load_private(made / "ed25519", Ed25519PrivateKey, "an Ed25519 key")
    with pytest.raises(FedsegError, match=rf"{found}.*; expected an Ed25519 key"):
        keys.load_private(made / name, Ed25519PrivateKey, "an Ed25519 key")


@pytest.mark.parametrize("content", ["", "{}", "[]", "a: b", "a: 1", "\0", "a: [", "text"])
def test_a_node_without_keys_that_it_trusts_is_refused(made, tmp_path, content):
    path = tmp_path / "trusted.yaml"
    path.write_bytes(signing.trust(made / "ed25519.pub"))
    assert len(signing.read_trusted(path)) == 1
    path.write_text(content)
    with pytest.raises(FedsegError, match="does not hold Ed25519 public keys by name"):
        signing.read_trusted(path)
    path.write_text(f"a: {(made / 'rsa.pub').read_text()}")
    with pytest.raises(FedsegError, match="does not hold Ed25519 public keys by name"):
        signing.read_trusted(path)
