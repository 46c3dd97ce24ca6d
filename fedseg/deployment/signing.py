"""The signed Flower app.

A server sends its nodes the Flower app, which is code. A node runs it only if it is signed with a
key that its owner trusts; Flower's SuperNode checks that (`--trusted-entities`). Flower
accepts signatures from its own hub only; here the installed app is signed, and the server hands
the signature out.
"""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from fedseg.deployment import keys
from fedseg.errors import FedsegError, first_line
from fedseg.files import app_dir, check_writable, read_json, write_json

if TYPE_CHECKING:
    from fedseg.flower.internals import App

APP_ID = "@fedseg/fedseg"
"""What a server stores it as."""
KEY, PUBLIC_KEY, SIGNED = "app.key", "app.pub", "app.signed"
TRUSTED_KEY = (
    "the public key of the app's signer, Ed25519 in OpenSSH's format: `fedseg deploy sign` writes "
    "it, app.pub"
)


def sign_app(folder: Path) -> Path:
    """Sign the installed app with the key in a folder; the key is made where there is none.

    Returns:
        The file that the server needs: the app and its signature.

    Raises:
        FedsegError: the key is no Ed25519 key in OpenSSH's format, or has a passphrase.
    """
    check_writable(folder, "folder")
    key = _key(folder)
    from fedseg.flower.internals import app_to_sign, build_app  # it imports Flower

    content = build_app(app_dir())
    signed_at = int(time.time())
    signature = key.sign(app_to_sign(hashlib.sha256(content).digest(), signed_at))
    encoded = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    record = json.dumps({"signature": encoded, "signed_at": signed_at})
    verifications = {key_id(key.public_key()): record, "valid_license": "Valid"}
    app = {"app": base64.b64encode(content).decode(), "verifications": verifications}
    write_json(folder / SIGNED, app)
    return folder / SIGNED


def read_signed(path: Path) -> "App":
    """Read what `sign_app` wrote.

    Raises:
        FedsegError: there is no such file, or it is something else.
    """
    from fedseg.flower.internals import App  # it imports Flower

    try:
        record = read_json(path)
        content = base64.b64decode(record["app"])
        return App(hashlib.sha256(content).hexdigest(), content, dict(record["verifications"]))
    except FileNotFoundError:
        raise FedsegError(
            f"{path}: no such file; sign the app with `fedseg deploy sign {path.parent}`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = f"`fedseg deploy sign {path.parent}` makes it"
        raise FedsegError(f"{path}: is no signed app ({first_line(error)}); {remedy}") from None


def trust(public_key: Path) -> bytes:
    """The content of a SuperNode's file of trusted entities: one public key.

    Raises:
        FedsegError: no Ed25519 public key in OpenSSH's format.
    """
    key = keys.load_public(public_key, Ed25519PublicKey, TRUSTED_KEY)
    return json.dumps({key_id(key): keys.openssh(key).decode()}, indent=2).encode()


def read_trusted(path: Path) -> list[str]:
    """The ids of the keys in a SuperNode's file of trusted entities.

    Raises:
        FedsegError: no such file, or anything but Ed25519 public keys by name.
    """
    remedy = "make the node anew with `fedseg deploy init`"
    if not path.is_file():
        raise FedsegError(f"{path}: no such file; without, a node would run any code; {remedy}")
    try:
        entities = yaml.safe_load(path.read_text("utf-8"))
        known = [load_ssh_public_key(entity.encode()) for entity in entities.values()]
    except Exception:  # of three parsers
        known = []
    if not known or not all(isinstance(key, Ed25519PublicKey) for key in known):
        raise FedsegError(f"{path}: does not hold Ed25519 public keys by name; {remedy}")
    return list(entities)


def key_id(key: Ed25519PublicKey) -> str:
    """What a key is called in signatures and in files of trusted entities."""
    return f"fpk_{hashlib.sha256(keys.openssh(key)).hexdigest()[:32]}"


def _key(folder: Path) -> Ed25519PrivateKey:
    path = folder / KEY
    if not path.is_file():
        keys.write_private(path, Ed25519PrivateKey.generate())
    key = keys.load_private(
        path, Ed25519PrivateKey, "an Ed25519 key in OpenSSH's format; without, a new one is made"
    )
    keys.write_public(folder / PUBLIC_KEY, key.public_key())
    return key
