"""The Flower ClientApp: unpacks a message, calls fedseg, packs the reply."""

import logging
from collections.abc import Callable
from typing import Any

import torch  # noqa: F401  Flower turns ArrayRecords into tensors only where torch is imported
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from safetensors.torch import load_file

from fedseg.client import read_upload, train_client, watched
from fedseg.config import Client, Evaluator, Federation
from fedseg.errors import FedsegError
from fedseg.evaluator import introduce, score_at_home
from fedseg.federation import federation_of, roles_of_node, run_of
from fedseg.progress import Progress
from fedseg.runs import Run

app = ClientApp()


@app.query()
def describe(message: Message, context: Context) -> Message:
    """Say whom this node speaks for, and what its evaluators have."""
    roles = _roles(context)
    clients = [role.name for role in roles if isinstance(role, Client)]
    evaluators = [
        introduce(role).model_dump_json() for role in roles if isinstance(role, Evaluator)
    ]
    return _reply(message, {"clients": clients, "evaluators": evaluators})


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train one client's model and upload it."""
    federation, run = _federation(context)

    def work(client: Client, progress: Progress) -> Message:
        home = run.state / client.name
        folder = train_client(client, federation.seed, home, progress)
        weights = ArrayRecord(load_file(folder / "model.safetensors"))
        upload = ConfigRecord({"upload": read_upload(folder).model_dump_json()})
        return Message(RecordDict({"weights": weights, "answer": upload}), reply_to=message)

    return _at_work(message, context, "client", work)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the global model on one evaluator's own data."""

    def work(evaluator: Evaluator, progress: Progress) -> Message:
        weights = message.content["weights"].to_torch_state_dict()
        info = str(message.content["task"]["info"])
        confusion = score_at_home(evaluator, info, weights, progress)
        return _reply(message, {"confusion": confusion.ravel().tolist()})

    return _at_work(message, context, "evaluator", work)


def _at_work(
    message: Message,
    context: Context,
    role: str,
    work: Callable[[Any, Progress], Message],
) -> Message:
    """Do what one of this node's roles is asked for; what goes wrong is the answer.

    An answer rather than an exception: Flower would send a traceback in its place.
    """
    name = message.content["task"][role]
    federation, run = _federation(context)
    asked = next(r for r in _roles(context) if r.name == name)
    progress = Progress(run.progress, name)
    try:
        return watched(lambda told: work(asked, told), progress, federation.stall_timeout)
    except FedsegError as error:
        reason = str(error)
    except Exception as error:
        logging.getLogger("flwr").exception("%s %s failed", role, name)
        reason = f"{type(error).__name__}: {error}"
    progress("failed", 0, 1)
    return _reply(message, {"error": reason})


def _federation(context: Context) -> tuple[Federation, Run]:
    return federation_of(context.run_config), run_of(context.run_config, context.run_id)


def _roles(context: Context) -> list[Client | Evaluator]:
    return roles_of_node(federation_of(context.run_config), context.node_config)


def _reply(message: Message, answer: dict[str, str | list[str] | list[int]]) -> Message:
    return Message(RecordDict({"answer": ConfigRecord(answer)}), reply_to=message)
