"""The Flower ClientApp: unpacks a message, calls fedseg, packs the reply."""

# A deployed node answers each message in a separate process. Importing torch takes seconds, and
# `describe` does not need it, so each handler imports what it needs.

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fedseg.errors import FedsegError
from fedseg.files import private_files
from fedseg.flower import messages
from fedseg.flower.context import NODE_KEY, nodes_of, places_of, progress_of
from fedseg.flower.supervisor import exit_with_parent
from fedseg.participants.introduction import Question, introduce, known_names
from fedseg.participants.node import Node, ScoreTask, TrainTask, unnamed
from fedseg.run.progress import Progress

if TYPE_CHECKING:
    from fedseg.participants.watchdog import Guard

app = ClientApp()
RUN_POLL = 15.0
"""Seconds between two looks whether the run goes on."""
log = logging.getLogger("flwr")
Handler = Callable[[Message, Context], Message]


def answering(handler: Handler) -> Handler:
    """Turn whatever a handler raises into an answer: Flower would send the exception's text."""

    @wraps(handler)
    def answered(message: Message, context: Context) -> Message:
        try:
            return handler(message, context)
        except Exception as error:
            log.exception("%s failed", handler.__name__)
            return Message(messages.failed(unnamed(error)), reply_to=message)

    return answered


@app.query()
@answering
def describe(message: Message, context: Context) -> Message:
    """Return the names of this node's participants, and what the server may know of their data."""
    nodes, classes = nodes_of(context), messages.task_in(message, Question).classes
    clients = [node.name for node in nodes if node.role == "trainer"]
    evaluators = [
        introduce(node.evaluator(), node.explain, classes).model_dump_json()
        for node in nodes
        if node.role == "evaluator"
    ]
    known = known_names(nodes, classes)
    return Message(messages.introduction(clients, evaluators, known), reply_to=message)


@app.train()
@answering
def train(message: Message, context: Context) -> Message:
    """Train one client's model and upload it."""
    from fedseg.flower.wire import to_records
    from fedseg.participants.answers import train_answer

    task = messages.task_in(message, TrainTask)

    def work(node: Node, progress: Progress) -> Message:
        places = places_of(context, node)
        weights, upload = train_answer(node, task, context.run_id, progress, places)
        content = messages.uploaded(upload.model_dump_json(), to_records(weights))
        return Message(content, reply_to=message)

    return _at_work(message, context, "client", work, task)


@app.evaluate()
@answering
def evaluate(message: Message, context: Context) -> Message:
    """Score the global model on one evaluator's own data."""
    return _score(message, context, "evaluator")


@app.evaluate(messages.CROSS_SITE)
@answering
def cross_site_evaluate(message: Message, context: Context) -> Message:
    """Score another client's model on this client's own data."""
    return _score(message, context, "client")


def _score(message: Message, context: Context, role: str) -> Message:
    from fedseg.flower.wire import from_records
    from fedseg.participants.answers import score_answer

    task = messages.task_in(message, ScoreTask)

    def work(node: Node, progress: Progress) -> Message:
        info = messages.info_in(message)
        weights = from_records(message.content)
        is_cross_site = role == "client"
        confusion = score_answer(node, task, is_cross_site, info, weights, context.run_id, progress)
        return Message(messages.scored(confusion.ravel().tolist()), reply_to=message)

    return _at_work(message, context, role, work, task)


def _at_work(
    message: Message,
    context: Context,
    role: str,
    work: Callable[[Node, Progress], Message],
    task: TrainTask | ScoreTask,
) -> Message:
    """Do what one of this node's roles is asked for; what goes wrong is the answer."""
    name = messages.name_in(message)
    node = next(node for node in nodes_of(context) if node.name == name)
    with nullcontext() if node.server is None else private_files(node.state):
        try:
            return _watched(node, context, work, task)
        except FedsegError as error:
            log.error("%s '%s': %s", role, name, error)
            reason = node.explain(error)
        except Exception as error:
            log.exception("%s '%s' failed", role, name)
            reason = node.explain(error)
        progress_of(context, node)("failed", 0, 1)
    return Message(messages.failed(reason), reply_to=message)


def _watched(
    node: Node,
    context: Context,
    work: Callable[[Node, Progress], Message],
    task: TrainTask | ScoreTask,
) -> Message:
    """Work until it is done, or a limit or the end of the run says to give up."""
    import torch

    from fedseg.participants.answers import guards_of
    from fedseg.participants.watchdog import watched

    if node.limits.threads:
        torch.set_num_threads(node.limits.threads)
    guards = guards_of(node, task.timeout)
    if node.server is not None:
        exit_with_parent()
        guards.append(_end_of_run(context, node))
    progress = progress_of(context, node)
    return watched(lambda notify: work(node, notify), progress, *guards)


def _end_of_run(context: Context, node: Node) -> "Guard":
    """Gives up once the run is over, so that the node is free for the next one."""
    from fedseg.deployment.connection import run_has_ended
    from fedseg.participants.watchdog import every

    folder = Path(str(context.node_config[NODE_KEY]))

    def guard() -> str | None:
        has_ended = run_has_ended(node, folder, context.node_id, context.run_id)
        return "the run has ended; gave up" if has_ended else None

    return every(RUN_POLL, guard)
