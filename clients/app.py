"""The Flower ClientApp: unpacks a message, calls fedseg, packs the reply."""

# A deployed node answers each message in a process of its own. Torch takes seconds to import, and
# whom a node speaks for can be said without it, so each handler imports what it needs itself.

import logging
from collections.abc import Callable, Mapping
from functools import wraps

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedseg.cross_validation import MOST_IMAGES
from fedseg.errors import FedsegError
from fedseg.federation import curve_of, nodes_of, progress_of
from fedseg.flower import exit_with_parent
from fedseg.introduction import introduce
from fedseg.node import Node, ScoreTask, TrainTask, unnamed
from fedseg.progress import Progress

app = ClientApp()
log = logging.getLogger("flwr")
Answer = dict[str, str | list[str] | list[int]]


def answering(handler: Callable[[Message, Context], Message]) -> Callable:
    """Turn whatever a handler raises into an answer: Flower would send the exception's text."""

    @wraps(handler)
    def answered(message: Message, context: Context) -> Message:
        try:
            return handler(message, context)
        except Exception as error:
            log.exception("%s failed", handler.__name__)
            return _reply(message, {"error": unnamed(error)})

    return answered


@app.query()
@answering
def describe(message: Message, context: Context) -> Message:
    """Say whom this node speaks for, and what its evaluators have."""
    nodes = nodes_of(context)
    clients = [node.name for node in nodes if node.role == "trainer"]
    evaluators = [_introduction(node) for node in nodes if node.role == "evaluator"]
    return _reply(message, {"clients": clients, "evaluators": evaluators})


@app.train()
@answering
def train(message: Message, context: Context) -> Message:
    """Train one client's model and upload it."""
    from fedseg.client import pack, train_client
    from fedseg.wire import to_records

    task = TrainTask.model_validate_json(str(message.content["task"]["how"]))

    def work(node: Node, progress: Progress) -> Message:
        client = node.client(task)
        folder = train_client(client, task.seed, node.state, progress, curve_of(context, node))
        weights, upload = pack(folder, node.upload)
        return _reply(message, {"upload": upload.model_dump_json()}, to_records(weights))

    return _at_work(message, context, "client", work, task.stall_timeout)


@app.evaluate()
@answering
def evaluate(message: Message, context: Context) -> Message:
    """Score the global model on one evaluator's own data."""
    return _score(message, context, "evaluator")


@app.evaluate("cross_validation")
@answering
def cross_validate(message: Message, context: Context) -> Message:
    """Score another client's model on this client's own data."""
    return _score(message, context, "client", MOST_IMAGES)


def _score(message: Message, context: Context, role: str, most: int | None = None) -> Message:
    from fedseg.evaluator import score_at_home
    from fedseg.wire import from_records

    task = ScoreTask.model_validate_json(str(message.content["task"]["how"]))

    def work(node: Node, progress: Progress) -> Message:
        allowed = node.evaluator if role == "evaluator" else node.cross_site
        data = allowed(task.protocol)
        weights = from_records(message.content)
        info = str(message.content["task"]["info"])
        confusion = score_at_home(data, info, weights, progress, most)
        return _reply(message, {"confusion": confusion.ravel().tolist()})

    return _at_work(message, context, role, work, task.stall_timeout)


def _introduction(node: Node) -> str:
    return introduce(node.evaluator(), node.explain).model_dump_json()


def _at_work(
    message: Message,
    context: Context,
    role: str,
    work: Callable[[Node, Progress], Message],
    stall_timeout: float,
) -> Message:
    """Do what one of this node's roles is asked for; what goes wrong is the answer."""
    import torch

    from fedseg.client import watched

    name = message.content["task"][role]
    node = next(node for node in nodes_of(context) if node.name == name)
    if node.limits.threads:
        torch.set_num_threads(node.limits.threads)
    if node.server is not None:
        exit_with_parent()
    progress = progress_of(context, node)
    try:
        return watched(lambda told: work(node, told), progress, stall_timeout)
    except FedsegError as error:
        log.error("%s '%s': %s", role, name, error)
        reason = node.explain(error)
    except Exception as error:
        log.exception("%s '%s' failed", role, name)
        reason = node.explain(error)
    progress("failed", 0, 1)
    return _reply(message, {"error": reason})


def _reply(
    message: Message, answer: Answer, weights: Mapping[str, ConfigRecord] | None = None
) -> Message:
    content = RecordDict({"answer": ConfigRecord(answer), **(weights or {})})
    return Message(content, reply_to=message)
