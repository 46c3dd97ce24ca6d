"""The messages between server and nodes: what they hold, written and read in this file only.

A request holds the record `task`: the name of the participant, the task as JSON, and the `Info` of
a model that is sent. A reply holds the record `answer`: an error, or what was asked for. Weights
are records beside it (`wire`). Needs no torch.

Each record holds a salt. Flower knows objects by their content's hash, whoever announces them, and
refuses one that was announced with other parts; so nobody may know a hash before it is announced.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from flwr.app import ConfigRecord, Message, RecordDict

from fedseg.config import Section
from fedseg.errors import FedsegError, plain
from fedseg.flower.supervisor import MOST_OF_AN_ERROR

TASK, ANSWER = "task", "answer"
NAME, HOW, INFO, SALT = "name", "how", "info", "salt"
ERROR, UPLOAD, CONFUSION = "error", "upload", "confusion"
CLIENTS, EVALUATORS, KNOWN = "clients", "evaluators", "known"
TRAIN, EVALUATE, CROSS_SITE, QUERY = "train", "evaluate", "cross_site_evaluation", "query"
"""Types of messages; Flower calls the third one "evaluate.cross_site_evaluation"."""

SHARD = 5 * 2**20
"""Bytes of weights to a record, as Flower cuts its arrays."""
MOST_OBJECTS = 4
"""Objects of a reply without weights, and one to spare: the message, its content, the answer."""

Records = Mapping[str, ConfigRecord]
Kind = TypeVar("Kind", bound=Section)


def most_objects(kind: str, upload: int) -> int:
    """Objects that a reply can have.

    Args:
        kind: Flower's type of the message that it answers.
        upload: most bytes of weights. Of these, two records in a row have more than a `SHARD`.
    """
    if kind != TRAIN:
        return MOST_OBJECTS
    return 2 * (upload // SHARD + 1) + MOST_OBJECTS


def request(
    name: str, task: Section, info: str | None = None, weights: Records | None = None
) -> RecordDict:
    """The content of a request.

    Args:
        name: of the client or evaluator.
        task: what to do.
        info: a `checkpoints.Info` as JSON, of the model that is sent.
        weights: of the model, as of `wire.to_records`.
    """
    record = ConfigRecord({NAME: name, HOW: task.model_dump_json()})
    if info is not None:
        record[INFO] = info
    return _content(TASK, record, weights)


def name_in(message: Message) -> str:
    """The participant that a request is for."""
    return str(message.content[TASK][NAME])


def task_in(message: Message, kind: type[Kind]) -> Kind:
    """What a request asks for.

    Raises:
        pydantic.ValidationError: it is no such task.
    """
    return kind.model_validate_json(str(message.content[TASK][HOW]))


def info_in(message: Message) -> str:
    """The `checkpoints.Info`, as JSON, of the model that a request holds."""
    return str(message.content[TASK][INFO])


def question(asked: Section) -> RecordDict:
    """The content of a query."""
    return _content(TASK, ConfigRecord({HOW: asked.model_dump_json()}))


def introduction(
    clients: Sequence[str], evaluators: Sequence[str], known: Sequence[str] | None = None
) -> RecordDict:
    """The content of a reply to a query.

    Args:
        clients: names of the clients on the node.
        evaluators: an `Introduction` as JSON of each evaluator.
        known: names in the class list that its dataset cards have; None: not said.
    """
    names = {CLIENTS: list(clients), EVALUATORS: list(evaluators)}
    return _answer(names if known is None else names | {KNOWN: list(known)})


def known_in(reply: Message) -> set[str] | None:
    """Names in the class list that a node's cards have; None where its reply does not say."""
    return {str(name) for name in items_in(reply, KNOWN)} if KNOWN in _record(reply) else None


def uploaded(upload: str, weights: Records) -> RecordDict:
    """The content of a reply with a model; `upload` is an `Upload` as JSON."""
    return _answer({UPLOAD: upload}, weights)


def scored(confusion: Sequence[int]) -> RecordDict:
    """The content of a reply with a confusion matrix, row by row."""
    return _answer({CONFUSION: list(confusion)})


def failed(reason: str) -> RecordDict:
    """The content of a reply that says why there is no other."""
    return _answer({ERROR: reason})


def text_in(reply: Message, key: str) -> str:
    """A text in a reply.

    Raises:
        FedsegError: the reply is an error.
        KeyError, TypeError: it lacks the text.
    """
    return str(_record(reply)[key])


def items_in(reply: Message, key: str) -> list[Any]:
    """A list in a reply; raises what `text_in` does."""
    value = _record(reply)[key]
    if not isinstance(value, list):
        raise TypeError(f"{key} is no list")
    return value


def _answer(values: Mapping[str, Any], weights: Records | None = None) -> RecordDict:
    return _content(ANSWER, ConfigRecord({**values}), weights)


def _content(name: str, record: ConfigRecord, weights: Records | None = None) -> RecordDict:
    records: dict[str, Any] = {name: record, **(weights or {})}
    for each in records.values():
        if SALT not in each:  # weights are sent to several nodes
            each[SALT] = secrets.token_hex(16)
    return RecordDict(records)


def _record(reply: Message) -> ConfigRecord:
    record = reply.content[ANSWER]
    if not isinstance(record, ConfigRecord):
        raise TypeError("its answer is no ConfigRecord")
    if ERROR in record:
        raise FedsegError(plain(record[ERROR], MOST_OF_AN_ERROR))
    return record
