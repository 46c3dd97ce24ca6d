"""One-shot federated learning as a Flower strategy.

Every client trains and uploads once; evaluators score the global model that comes of it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from logging import INFO, WARNING, getLogger
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from fedseg.config import GLOBAL, Federation
from fedseg.errors import FedsegError
from fedseg.evaluator import Introduction, score_of
from fedseg.files import write_json
from fedseg.node import score_task, train_task
from fedseg.pipeline import good_clients
from fedseg.progress import Progress
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
        self._asked: dict[str, str] = {}  # message id -> whom it went to
        self._said: dict[str, Introduction] = {}  # by evaluators

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
        self.aggregate_train(1, self._replies(grid, messages, "client", timeout))
        self.seconds = round(time.monotonic() - started, 1)
        return Result()

    def evaluate(
        self, grid: Grid, weights: ArrayRecord, info: ConfigRecord, timeout: float
    ) -> None:
        """Have the evaluators score the global model."""
        messages = self.configure_evaluate(1, weights, info, grid)
        self.aggregate_evaluate(1, self._replies(grid, messages, "evaluator", timeout))

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """A message to each client that has not uploaded yet, once its node has been found."""
        done = good_clients(self.run, self.federation)
        wanted = {client.name for client in self.federation.clients} - done.keys()
        nodes = self._find(grid, wanted)
        return [
            self._message("train", {"client": client.name, "how": how}, nodes[client.name])
            for client in self.federation.clients
            if client.name in nodes
            for how in [train_task(self.federation, client).model_dump_json()]
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Store each upload as it comes. Nothing is averaged: the distillation comes after."""
        self._take_each(replies, self._take_upload)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """The global model to each evaluator that has not scored it yet and has what to score on.

        Args:
            server_round: not looked at.
            arrays: the global model's weights.
            config: `info`, its `checkpoints.Info` as JSON.
            grid: where the nodes are.
        """
        missing = [e for e in self.federation.evaluators if not self._score(e.name).is_file()]
        nodes = self._find(grid, {evaluator.name for evaluator in missing})
        messages = []
        for evaluator in missing:
            if (name := evaluator.name) not in nodes:
                continue
            if problem := self._said[name].problem:
                self._fail(name, problem)
                continue
            how = score_task(self.federation, evaluator).model_dump_json()
            task = {"evaluator": name, "how": how, **config}
            messages.append(self._message("evaluate", task, nodes[name], weights=arrays))
        return messages

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Write each evaluator's score as it comes."""
        self._take_each(replies, self._take_score)
        return None

    def summary(self) -> None:
        """Say who is expected."""
        log(INFO, "clients: %s", ", ".join(c.name for c in self.federation.clients))

    def _find(self, grid: Grid, wanted: set[str]) -> dict[str, int]:
        """Nodes by the name of whom they speak for; the others are failures."""
        nodes, said = find_nodes(grid, wanted, self.federation.node_timeout)
        self._said |= said
        for name in sorted(wanted - nodes.keys()):
            self._fail(name, "no node speaks for it")
        return nodes

    def _message(
        self, kind: str, task: Mapping[str, Any], node: int, **records: ArrayRecord
    ) -> Message:
        content = RecordDict({"task": ConfigRecord(dict(task)), **records})
        return Message(
            content, dst_node_id=node, message_type=kind, ttl=self.federation.client_timeout
        )

    def _replies(
        self, grid: Grid, messages: list[Message], role: str, timeout: float
    ) -> Iterator[Message]:
        names = [str(message.content["task"][role]) for message in messages]
        for name in names:
            self._tell(name, "asked", 0)
        ids = list(grid.push_messages(messages))
        self._asked = dict(zip(ids, names, strict=True))
        return replies_to(grid, ids, timeout)

    def _take_each(self, replies: Iterable[Message], take: Callable[[str, Message], None]) -> None:
        """Take in the replies as they come; one that can't be used is its sender's failure."""
        for reply in replies:
            name = self._asked.pop(reply.metadata.reply_to_message_id)
            try:
                take(name, reply)
                log(INFO, "%s: answer accepted", name)
                self._tell(name, "answered", 1)
            except FedsegError as error:
                self._fail(name, str(error))
        for name in self._asked.values():
            self._fail(name, f"no answer within {self.federation.client_timeout:g} s")

    def _fail(self, name: str, reason: str) -> None:
        self.failures[name] = reason
        self._tell(name, "failed", 0)
        log(WARNING, "%s: %s", name, reason)

    def _tell(self, name: str, stage: str, done: int) -> None:
        """What the server knows of a node's progress; a simulated node adds what itself knows."""
        Progress(self.run.progress, name)(stage, done, 1)

    def _take_upload(self, name: str, reply: Message) -> None:
        with _well_formed(reply):
            text = str(_answer(reply)["upload"])
            weights = reply.content["weights"].to_torch_state_dict()
        store(self.run, parse_upload(text, expected=name), weights)

    def _take_score(self, name: str, reply: Message) -> None:
        with _well_formed(reply):
            confusion = [int(count) for count in _answer(reply)["confusion"]]
        evaluator = next(e for e in self.federation.evaluators if e.name == name)
        score = score_of(confusion, self._said[name], evaluator)
        write_json(self._score(name), {"model": GLOBAL, **score})

    def _score(self, name: str) -> Path:
        return self.run.score(GLOBAL, name)


def _answer(reply: Message) -> ConfigRecord:
    """What a node answered, unless it says that it failed."""
    answer = reply.content["answer"]
    if "error" in answer:
        raise FedsegError(str(answer["error"]))
    return answer


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


def find_nodes(
    grid: Grid, wanted: set[str], timeout: float
) -> tuple[dict[str, int], dict[str, Introduction]]:
    """Ask nodes, as they appear, whom they speak for, until everyone wanted is found.

    Args:
        grid: where the nodes are.
        wanted: names of clients and evaluators.
        timeout: seconds after which the search ends with those found so far.

    Returns:
        Node id by name, where the first node to speak for somebody is the one that counts, and a
        node that was registered under a name speaks for nobody else; and what the evaluators among
        them said.
    """
    deadline = time.monotonic() + timeout
    found: dict[str, int] = {}
    said: dict[str, Introduction] = {}
    registered: dict[int, str] = {}  # by node id, of those asked
    pending: dict[str, int] = {}  # id of a question -> the node it went to
    while wanted - found.keys() and time.monotonic() < deadline:
        nodes = {node.node_id: node.name for node in grid.get_nodes()}
        new = sorted(nodes.keys() - registered.keys())
        questions = [Message(RecordDict(), dst_node_id=n, message_type="query") for n in new]
        pending |= zip(grid.push_messages(questions), new, strict=True)
        registered |= nodes
        for reply in grid.pull_messages(list(pending)):
            # An answer can be pulled only once, so its question must not be asked about again.
            node = pending.pop(reply.metadata.reply_to_message_id)
            try:
                names, introduced = _introductions(reply, registered[node])
            except FedsegError as error:
                log(WARNING, "node %d does not say whom it speaks for: %s", node, error)
                continue
            said = introduced | said
            found = dict.fromkeys([*names, *introduced], node) | found
        time.sleep(NODE_POLL)
    return {name: node for name, node in found.items() if name in wanted}, said


def _introductions(reply: Message, registered: str) -> tuple[list[str], dict[str, Introduction]]:
    """The clients, and the evaluators by name, that a node speaks for."""
    with _well_formed(reply):
        answer = _answer(reply)
        names = [str(name) for name in answer["clients"]]
        evaluators = map(Introduction.model_validate_json, answer["evaluators"])
        introduced = {one.name: one for one in evaluators}
    for name in [*names, *introduced]:
        if registered and name != registered:
            raise FedsegError(f"it is registered as '{registered}', but says that it is '{name}'")
    return names, introduced


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
