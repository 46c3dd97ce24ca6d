"""What must be right before a node can take part, looked at one by one."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fedseg.config import Model
from fedseg.data.dataset import open_dataset
from fedseg.data.label_map import LabelMap, names_cityscapes
from fedseg.data.survey import survey_labels
from fedseg.deployment.identity import NODE_KEY, NODE_PUB, TRUSTED, load_key
from fedseg.deployment.keys import openssh
from fedseg.deployment.signing import read_trusted
from fedseg.errors import FedsegError, first_line
from fedseg.files import make_private
from fedseg.machine import PER_TRAINING, memory
from fedseg.participants.node import Node, NodePrivacy, load_node
from fedseg.participants.quota import DailyQuota
from fedseg.storage.hashes import file_hashes

DISK = 2 * 2**30
"""Bytes below the state folder that a training is reckoned to need."""


class Line(NamedTuple):
    """One thing that was looked at."""

    what: str
    found: str
    """What was found, or the remedy."""
    is_good: bool


def check_node(folder: Path) -> Iterator[Line]:
    """Look at a node's folder, data, machine and server; one line each, as they are done.

    Args:
        folder: as `make_node` makes it.
    """
    nodes: list[Node] = []

    def read() -> str:
        nodes.append(load_node(folder))
        return "node.toml is right"

    yield _line("configuration", read)
    if not nodes:
        return
    from fedseg.deployment.connection import check_registration, check_server  # these import Flower

    node = nodes[0]
    yield _line("key", lambda: _check_key(folder))
    yield _line("trust", lambda: _check_trust(folder))
    yield _line("data", lambda: _check_data(node))
    if node.role == "trainer":
        yield _line("model", lambda: _check_model(node))
        yield _line("limits", lambda: _check_limits(node))
    yield _line("today", lambda: _check_quota(node))
    if node.role == "trainer" and (privacy := node.privacy):
        yield _line("privacy", partial(_check_privacy, node, privacy))
    yield _line("memory", _check_memory)
    yield _line("disk", lambda: _check_disk(node))
    reached = _line("server", lambda: check_server(node, folder))
    yield reached
    if reached.is_good:
        yield _line("registration", lambda: check_registration(node, folder))


def _line(what: str, look: Callable[[], str]) -> Line:
    try:
        return Line(what, look(), True)
    except FedsegError as error:
        return Line(what, str(error), False)
    except Exception as error:  # the other lines are worth looking at still
        return Line(what, f"{type(error).__name__}: {first_line(error)}", False)


def _check_key(folder: Path) -> str:
    key, public = load_key(folder).public_key(), folder / NODE_PUB
    if public.is_file() and openssh(key) not in public.read_bytes():
        raise FedsegError(
            f"{public}: is not the public half of {NODE_KEY}; write it anew with "
            f"`ssh-keygen -y -f {folder / NODE_KEY} > {public}`"
        )
    if (folder / NODE_KEY).stat().st_mode & 0o077:
        path = folder / NODE_KEY
        raise FedsegError(f"{path}: others can read it; run `chmod 600 {path}`")
    return "private, readable by its owner alone"


def _check_trust(folder: Path) -> str:
    read_trusted(folder / TRUSTED)
    return f"runs only an app signed by who stands in {TRUSTED}"


def _check_data(node: Node) -> str:
    dataset = open_dataset(node)
    if not names_cityscapes(dataset.card):
        survey_labels(dataset)
        classes = "of a class list of a federation's own, which is known once a run starts"
    elif node.role == "trainer":
        LabelMap(dataset.card).train_ids()  # a card too coarse to train on is refused here
        classes = f"{int((survey_labels(dataset).sum(axis=0) > 0).sum())} of the card's classes"
    else:
        survey_labels(dataset)
        classes = f"scored over {len(LabelMap(dataset.card).names)} classes"
    return f"{len(dataset)} images of '{dataset.card.name}', all readable; {classes}"


def _check_model(node: Node) -> str:
    own = node.model.model_dump(exclude_none=True)
    if not own:
        return "the federation's; known once a run starts"
    from fedseg.models.build import build  # it imports torch

    model = Model(**own)
    build(model)
    return f"{model.arch} with {model.encoder} can be built"


def _check_limits(node: Node) -> str:
    for key in ("iterations", "batch_size"):
        least, most = getattr(node.minima, key), getattr(node.limits, key)
        if most is not None and most < least:
            raise FedsegError(
                f"limits.{key} = {most} is below minima.{key} = {least}, so that no training is "
                "allowed; change one of them in node.toml"
            )
    return f"from {node.minima.iterations} iterations on; see [limits] and [minima] in node.toml"


def _check_quota(node: Node) -> str:
    kind, most = ("score", node.limits.scores_per_day)
    if node.role == "trainer":
        kind, most = ("training", node.limits.trainings_per_day)
    return f"{DailyQuota(node.state).count(kind)} of {most} {kind}s within the last 24 hours"


def _check_privacy(node: Node, privacy: NodePrivacy) -> str:
    from fedseg.participants.privacy_budget import PrivacyBudget  # it imports torch

    budget = PrivacyBudget(node.state, privacy)
    spent = budget.spent(file_hashes(open_dataset(node).images))
    left = [max(most - part, 0.0) for most, part in zip(budget.total, spent, strict=True)]
    shown = zip(("epsilon", "delta"), left, budget.total, strict=True)
    return ", ".join(f"{name} {have:.4g} of {most:.4g}" for name, have, most in shown) + " left"


def _check_memory() -> str:
    remedy = "memory; give the machine or the container more"
    return _enough(memory(), PER_TRAINING, remedy)


def _check_disk(node: Node) -> str:
    make_private(node.state)
    if not os.access(node.state, os.W_OK):
        raise FedsegError(f"{node.state}: can't be written to; let this user write there")
    return _enough(shutil.disk_usage(node.state).free, DISK, f"free below {node.state}; make room")


def _enough(have: int, need: int, what: str) -> str:
    thing, _, remedy = what.partition("; ")
    if have < need:
        raise FedsegError(
            f"{have / 2**30:.1f} GiB {thing}, but {need / 2**30:.0f} needed; {remedy}"
        )
    return f"{have / 2**30:.1f} GiB {thing}"
