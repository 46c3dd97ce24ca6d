"""One-shot federated learning as a Flower strategy: every client trains, and uploads once."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from logging import INFO, WARNING, getLogger

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from fedseg.config import Federation
from fedseg.errors import FedsegError
from fedseg.pipeline import good_clients
from fedseg.runs import Run
from fedseg.uploads import parse_upload, store

NODE_POLL, UPLOAD_POLL = 0.2, 1.0
"""Seconds between two looks: for nodes, which come within seconds, and for uploads. Each look costs
the SuperLink work, which in a simulation is taken from the training."""

log = getLogger("flwr").log


class OneShot(Strategy):
    """Asks every node whom it speaks for, has each client trained, and keeps the good uploads.

    An upload is checked and written to the run folder as it arrives, so that no more than one is in
    memory. A client that fails is noted in `failures` and does not stop the others. Clients whose
    upload is in the run folder already, from before an interruption, are not asked again.
    """

    def __init__(self, run: Run, federation: Federation) -> None:
        self.run = run
        self.federation = federation
        self.failures: dict[str, str] = {}
        self.seconds = 0.0
        self._asked: dict[str, str] = {}  # message id -> client

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 1,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        **_: object,
    ) -> Result:
        """Run the one round. `Strategy.start` would hold all replies in memory at once."""
        started = time.monotonic()
        self.summary()
        messages = self.configure_train(1, initial_arrays, train_config or ConfigRecord(), grid)
        ids = list(grid.push_messages(messages))
        self._asked = {
            i: str(m.content["task"]["client"]) for i, m in zip(ids, messages, strict=True)
        }
        self.aggregate_train(1, replies_to(grid, ids, timeout))
        self.seconds = round(time.monotonic() - started, 1)
        return Result()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """A message to each client that has not uploaded yet, once its node has been found."""
        done = good_clients(self.run, self.federation)
        wanted = {client.name for client in self.federation.clients} - done.keys()
        nodes = find_clients(grid, wanted, self.federation.node_timeout)
        self.failures |= {name: "no node speaks for it" for name in wanted - nodes.keys()}
        return [
            Message(
                RecordDict({"task": ConfigRecord({"client": name})}),
                dst_node_id=nodes[name],
                message_type="train",
                ttl=self.federation.client_timeout,
            )
            for name in (client.name for client in self.federation.clients)
            if name in nodes
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Store each upload as it comes. Nothing is averaged: the distillation comes after."""
        for reply in replies:
            name = self._asked.pop(reply.metadata.reply_to_message_id)
            try:
                self._take(name, reply)
                log(INFO, "client %s: upload accepted", name)
            except FedsegError as error:
                self.failures[name] = str(error)
                log(WARNING, "client %s: %s", name, error)
        for name in self._asked.values():
            self.failures[name] = f"no upload within {self.federation.client_timeout:g} s"
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nobody evaluates at home yet."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Nobody evaluates at home yet."""
        return None

    def summary(self) -> None:
        """Say who is expected."""
        log(INFO, "clients: %s", ", ".join(c.name for c in self.federation.clients))

    def _take(self, name: str, reply: Message) -> None:
        with _well_formed(reply):
            answer = reply.content["answer"]
            if "error" in answer:
                raise FedsegError(str(answer["error"]))
            text, weights = str(answer["upload"]), reply.content["weights"].to_torch_state_dict()
        store(self.run, parse_upload(text, expected=name), weights)


@contextmanager
def _well_formed(reply: Message) -> Iterator[None]:
    """Within it a reply is read; whatever it lacks becomes a FedsegError."""
    if reply.has_error():
        # Flower sends a traceback; its last line is what happened.
        reason = (reply.error.reason or "no reason given").strip().splitlines()[-1]
        raise FedsegError(f"its node failed: {reason}")
    try:
        yield
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise FedsegError(f"malformed reply: {type(error).__name__}: {error}") from None


def find_clients(grid: Grid, wanted: set[str], timeout: float) -> dict[str, int]:
    """Ask nodes, as they appear, whom they speak for, until every wanted client is found.

    Args:
        grid: where the nodes are.
        wanted: names of clients.
        timeout: seconds after which the search ends with those found so far.

    Returns:
        Node id by client name; the first node to speak for a client is the one that counts.
    """
    deadline = time.monotonic() + timeout
    found: dict[str, int] = {}
    asked: set[int] = set()
    pending: dict[str, int] = {}  # id of a question -> the node it went to
    while wanted - found.keys() and time.monotonic() < deadline:
        new = sorted(set(grid.get_node_ids()) - asked)
        questions = [Message(RecordDict(), dst_node_id=n, message_type="query") for n in new]
        pending |= zip(grid.push_messages(questions), new, strict=True)
        asked |= set(new)
        for reply in grid.pull_messages(list(pending)):
            # An answer can be pulled only once, so its question must not be asked about again.
            node = pending.pop(reply.metadata.reply_to_message_id)
            try:
                with _well_formed(reply):
                    names = [str(name) for name in reply.content["answer"]["clients"]]
            except FedsegError as error:
                log(WARNING, "node %d does not say whom it speaks for: %s", node, error)
                continue
            found = {name: node for name in names} | found
        time.sleep(NODE_POLL)
    return {name: node for name, node in found.items() if name in wanted}


def replies_to(grid: Grid, message_ids: Iterable[str], timeout: float) -> Iterator[Message]:
    """The replies as they come, one in memory at a time, until all are there or time is up."""
    deadline = time.monotonic() + timeout
    pending = list(message_ids)
    while pending and time.monotonic() < deadline:
        for message_id in list(pending):
            for reply in grid.pull_messages([message_id]):
                pending.remove(message_id)
                yield reply
        time.sleep(UPLOAD_POLL)
