"""The Flower ClientApp: unpacks a message, calls fedseg, packs the reply."""

import logging

import torch  # noqa: F401  Flower turns ArrayRecords into tensors only where torch is imported
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from safetensors.torch import load_file

from fedseg.client import read_upload, train_client, watched
from fedseg.errors import FedsegError
from fedseg.federation import clients_of_node, federation_of, run_of
from fedseg.progress import Progress

app = ClientApp()


@app.query()
def describe(message: Message, context: Context) -> Message:
    """Say which clients this node speaks for."""
    federation = federation_of(context.run_config)
    names = [client.name for client in clients_of_node(federation, context.node_config)]
    return _reply(message, {"clients": names})


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train one client's model and upload it."""
    name = message.content["task"]["client"]
    federation = federation_of(context.run_config)
    run = run_of(context.run_config, context.run_id)
    client = next(c for c in clients_of_node(federation, context.node_config) if c.name == name)
    progress = Progress(run.progress, name)
    try:
        folder = watched(
            lambda told: train_client(client, federation.seed, run.state / name, told),
            progress,
            federation.stall_timeout,
        )
    except Exception as error:
        # A reply rather than an exception: Flower would send a traceback in its place.
        if not isinstance(error, FedsegError):
            logging.getLogger("flwr").exception("client %s failed", name)
        reason = (
            str(error) if isinstance(error, FedsegError) else f"{type(error).__name__}: {error}"
        )
        progress("failed", 0, 1)
        return _reply(message, {"error": reason})
    weights = ArrayRecord(load_file(folder / "model.safetensors"))
    upload = {"upload": read_upload(folder).model_dump_json()}
    return Message(
        RecordDict({"weights": weights, "answer": ConfigRecord(upload)}), reply_to=message
    )


def _reply(message: Message, answer: dict[str, str | list[str]]) -> Message:
    return Message(RecordDict({"answer": ConfigRecord(answer)}), reply_to=message)
