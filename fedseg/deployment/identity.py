"""A node's folder: its identity, and the keys that it trusts.

node.toml       what its owner set up, a `Node`
node.key        its private key            } OpenSSH, ECDSA P-384: what Flower's SuperNode
node.pub        its public key             } and the server's register want
ca.crt          the authority behind the server's certificate
trusted.yaml    whose signature under the Flower app it accepts
state/          trained models, and Flower's files
"""

from collections.abc import Mapping
from pathlib import Path

import tomli_w
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fedseg import config
from fedseg.data.cards import load_card
from fedseg.data.own_datasets import is_own
from fedseg.deployment import keys, signing
from fedseg.deployment.authority import CA, read_authority, trusting
from fedseg.deployment.ports import check_address, check_port
from fedseg.errors import FedsegError
from fedseg.files import check_writable, make_private, write_bytes, write_text
from fedseg.flower.loopback import HOST, check_loopback
from fedseg.participants.node import NODE_FILE, Node, load_node

NODE_KEY, NODE_PUB, TRUSTED = "node.key", "node.pub", "trusted.yaml"

OPTIONAL = """
# What follows is optional; these are the defaults.
# cross_site_evaluation = false # true: score other clients' models here, if the federation asks
# [model]                       # a trainer's own; default: the federation's
# arch = "fpn"
# encoder = "tu-tf_efficientnet_lite0"
# encoder_weights = "imagenet"  # "none", the path of a .safetensors file, or hf://OWNER/NAME
# [limits]                      # the most that this node gives; more is refused, or cut down to it
# threads = 4
# iterations = 10000
# batch_size = 8
# pixels = 33554432             # of one input of a model
# parameters = 500000000        # of a model
# seconds = 86400.0             # for one training or one scoring
# memory = 8.0                  # GiB; default: nine tenths of this machine's
# scores_per_day = 100          # confusion matrices sent
# trainings_per_day = 4         # different ones
# learning_rate = 0.01
# weight_decay = 1.0
# [minima]                      # the least that a training must be; less tells of single images
# iterations = 50
# batch_size = 4
# passes = 0.5                  # over the images
# images = 4                    # that share the draws, as rare-class sampling draws them
# crop = 64                     # pixels of each side
# learning_rate = 1e-5
# [tracking]                    # of its training's loss; the server does not see it
# trackers = ["tensorboard"]    # or mlflow, wandb
# [privacy]                     # a trainer's differential privacy; default: none
# epsilon = 8.0                 # needs fedseg[privacy]
# delta = 1e-5
# max_grad_norm = 1.0
# total_epsilon = 8.0           # of all trainings on an image together
"""


def make_node(folder: Path, settings: Mapping[str, str | None], certs: Path) -> Node:
    """Make a node's folder.

    Args:
        folder: made; must not hold a node yet.
        settings: name, role, dataset, root, split, server, as in `Node`.
        certs: folder of ca.crt, the certificate of the server's authority, and app.pub, the public
            key that the app is signed with.

    Raises:
        FedsegError: a bad setting, no such file, or a node that is there already.
    """
    if (folder / NODE_FILE).exists() or (folder / NODE_KEY).exists():
        raise FedsegError(f"{folder}: holds a node already; remove it or choose another folder")
    given = {key: value for key, value in settings.items() if value is not None}
    check_writable(folder, "folder")
    node = config.parse(Node, given | {"state": "state"}, folder / NODE_FILE)
    check_address(str(node.server))
    if not is_own(node.dataset):
        load_card(node.dataset).split(node.split)  # its root may be mounted later
    trusting(certs / CA)
    authority = b"".join(root.public_bytes(Encoding.PEM) for root in read_authority(certs / CA))
    trusted_entities = signing.trust(certs / signing.PUBLIC_KEY)
    make_private(folder / "state")  # where a container mounts a volume
    key = ec.generate_private_key(ec.SECP384R1())
    keys.write_private(folder / NODE_KEY, key)
    keys.write_public(folder / NODE_PUB, key.public_key())
    write_bytes(folder / CA, authority)
    write_bytes(folder / TRUSTED, trusted_entities)
    write_text(folder / NODE_FILE, tomli_w.dumps(given) + OPTIONAL)
    return node


def open_node(folder: Path) -> Node:
    """Read a node's folder, and see that its keys are there.

    Raises:
        FedsegError: no such folder, a mistake in node.toml, or a file that is missing or unfit.
    """
    node = load_node(folder)
    for name in (NODE_KEY, CA, TRUSTED):
        if not (folder / name).is_file():
            raise FedsegError(
                f"{folder / name}: no such file; see `fedseg deploy node {folder} --check`"
            )
    signing.read_trusted(folder / TRUSTED)  # Flower would fail on another file again and again
    return node


def check_local(port: int | None) -> None:
    """See that a node's processes can reach each other on this machine.

    Args:
        port: by which they shall, if that is chosen.

    Raises:
        FedsegError: the port can't be used, or this machine has no loopback interface.
    """
    check_loopback()
    if port is not None:
        check_port(HOST, port, "--port")


def load_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """A node's private key.

    Raises:
        FedsegError: it is not there or is no such key.
    """
    wanted = "an ECDSA key in OpenSSH's format; `fedseg deploy init` makes it"
    return keys.load_private(folder / NODE_KEY, ec.EllipticCurvePrivateKey, wanted)
