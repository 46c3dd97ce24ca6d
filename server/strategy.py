"""One-shot federated learning as a Flower strategy.

Every client trains and uploads once; evaluators score the global model that comes of it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from logging import ERROR, INFO, WARNING, getLogger
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy
from torch import Tensor

from fedseg.config import GLOBAL, Evaluator, Federation, Protocol
from fedseg.errors import FedsegError, explain_error, plain
from fedseg.flower.messages import (
    CONFUSION,
    CROSS_SITE,
    EVALUATE,
    TRAIN,
    UPLOAD,
    items_in,
    name_in,
    request,
    text_in,
)
from fedseg.flower.supervisor import MOST_OF_AN_ERROR
from fedseg.flower.wire import from_records, to_records
from fedseg.method.votes import keep_score, missing_sites
from fedseg.models.checkpoints import WEIGHTS, StoredWeights, load_info
from fedseg.participants.evaluator import answer_inputs, answered_score
from fedseg.participants.introduction import Introduction, Question
from fedseg.participants.metadata import parse_upload
from fedseg.participants.node import ScoreTask, train_task
from fedseg.participants.uploads import check_architecture, check_cost, check_sizes, store_upload
from fedseg.planning.node_classes import check_node_classes
from fedseg.run.clients import good_clients
from fedseg.run.folder import Run
from fedseg.run.progress import FileProgress
from fedseg.run.records import Score
from fedseg.storage.hashes import file_hashes
from fedseg.storage.provenance import Inputs
from server.nodes import Nodes, well_formed

log = getLogger("flwr").log
PATIENCE = 600.0
"""Seconds that the server waits for nodes to appear, and for one that went away to come back."""
NamedReply = tuple[str, Message | FedsegError]


class OneShot(Strategy):
    """Finds the nodes, has each client trained, and keeps the good uploads.

    An upload is checked and written to the run folder as it arrives, so that no more than one is in
    memory. A client that fails is noted in `failures` and does not stop the others. Clients whose
    upload is in the run folder already, from before an interruption, are not asked again.
    """

    def __init__(self, run: Run, federation: Federation) -> None:
        self.run = run
        self.federation = federation
        self.failures: dict[str, str] = {}
        self.seconds = 0.0
        self.patience = min(PATIENCE, federation.client_timeout)
        self._nodes: Nodes | None = None
        self._unheard: set[str] = set()  # of those asked

    def start(  # type: ignore[override]  # of what Flower's may be given, this needs less
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
        self.aggregate_train(1, self._replies(grid, messages, timeout))
        self.seconds = round(time.monotonic() - started, 1)
        return Result()

    def evaluate(self, grid: Grid, timeout: float) -> None:
        """Have the evaluators score the global model."""
        messages = self.configure_evaluate(1, ArrayRecord(), ConfigRecord(), grid)
        self.aggregate_evaluate(1, self._replies(grid, messages, timeout))

    def cross_site_evaluate(self, grid: Grid, timeout: float) -> None:
        """Have every client's model scored by every other client; a pair that fails is left out."""
        clients = good_clients(self.run, self.federation)
        nodes = self._known_nodes(grid).find(set(clients), self.patience)
        how = ScoreTask(protocol=Protocol(), timeout=timeout)
        for name, folder in clients.items():
            sites = [s for s in missing_sites(self.run, name, list(clients)) if s in nodes]
            if not sites:
                continue
            info, weights = packed(folder)
            kind = f"{EVALUATE}.{CROSS_SITE}"
            messages = [
                self._message(kind, request(site, how, info, weights), nodes[site])
                for site in sites
            ]
            for site, reply in self._replies(grid, messages, timeout):
                try:
                    if isinstance(reply, FedsegError):
                        raise reply
                    keep_score(self.run, name, site, _confusion_in(reply), self.federation.classes)
                    self._audit("cross-site score accepted", name=site, model=name)
                    self._tell(site, f"scored the model of {name}", 1)
                except Exception as error:
                    log(WARNING, "%s can't score the model of %s: %s", site, name, error)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """A message to each client that has not uploaded yet, once its node has been found."""
        done = good_clients(self.run, self.federation)
        wanted = {client.name for client in self.federation.clients} - done.keys()
        nodes = self._find(grid, wanted)
        if not done:
            known, timeout = self._known_nodes(grid), self.patience
            check_node_classes(self.federation, known.known, partial(known.find, timeout=timeout))
        return [
            self._message(TRAIN, request(client.name, task), nodes[client.name])
            for client in self.federation.clients
            if client.name in nodes
            for task in [train_task(client, self.federation.seed, self.federation.client_timeout)]
        ]

    def aggregate_train(  # type: ignore[override]
        self, server_round: int, replies: Iterable[NamedReply]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Store each upload as it comes. Nothing is averaged: the distillation comes after."""
        self._take_each(replies, self._take_upload)
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """The global model to each evaluator that has not scored it yet and has what to score on.

        Args:
            server_round: not used.
            arrays: not used: the model is the run folder's.
            config: not used.
            grid: where the nodes are.
        """
        missing = [
            evaluator
            for evaluator in self.federation.evaluators
            if not Score.read_if_made_from(
                self._score(evaluator.name), self._score_inputs(evaluator)
            )
        ]
        nodes = self._find(grid, {evaluator.name for evaluator in missing})
        messages: list[Message] = []
        if not nodes:
            return messages
        info, weights = packed(self.run.global_model)
        for evaluator in missing:
            if (name := evaluator.name) not in nodes:
                continue
            introduction = self._introductions.get(name)
            if introduction is None:
                self._fail(name, "its node does not introduce itself as an evaluator")
                continue
            if introduction.problem:
                self._fail(name, plain(introduction.problem, MOST_OF_AN_ERROR))
                continue
            task = ScoreTask(protocol=evaluator.protocol, timeout=self.federation.client_timeout)
            content = request(name, task, info, weights)
            messages.append(self._message(EVALUATE, content, nodes[name]))
        return messages

    def aggregate_evaluate(  # type: ignore[override]
        self, server_round: int, replies: Iterable[NamedReply]
    ) -> MetricRecord | None:
        """Write each evaluator's score as it comes."""
        self._take_each(replies, self._take_score)
        return None

    def summary(self) -> None:
        """Say who is expected."""
        log(INFO, "clients: %s", ", ".join(c.name for c in self.federation.clients))

    def _known_nodes(self, grid: Grid) -> Nodes:
        self._nodes = self._nodes or Nodes(
            grid, self.run.path, Question(classes=self.federation.classes)
        )
        return self._nodes

    def _find(self, grid: Grid, wanted: set[str]) -> dict[str, int]:
        """Node ids by name; names without a node are failures."""
        known = self._known_nodes(grid)
        nodes = known.find(wanted, self.patience)
        for name in sorted(wanted - nodes.keys()):
            self._fail(name, known.refused.get(name, "no node speaks for it"))
        return nodes

    @property
    def _introductions(self) -> dict[str, Introduction]:
        return self._nodes.introductions if self._nodes else {}

    def _message(self, kind: str, content: RecordDict, node: int) -> Message:
        # It may wait for those of all clients that train before it on the same machine.
        turns = 1 + len(self.federation.clients)
        return Message(
            content,
            dst_node_id=node,
            message_type=kind,
            ttl=turns * self.federation.client_timeout,
        )

    def _replies(self, grid: Grid, messages: list[Message], timeout: float) -> Iterator[NamedReply]:
        by_name = {name_in(message): message for message in messages}
        self._unheard = set(by_name)
        for name in by_name:
            self._tell(name, "asked", 0)
        return self._known_nodes(grid).ask(by_name, timeout, self.patience)

    def _take_each(
        self, replies: Iterable[NamedReply], take: Callable[[str, Message], None]
    ) -> None:
        """Take in the replies as they come; one that can't be used is its sender's failure."""
        for name, reply in replies:
            self._unheard.discard(name)
            try:
                if isinstance(reply, FedsegError):
                    raise reply
                take(name, reply)
                log(INFO, "%s: answer accepted", name)
                self._tell(name, "answered", 1)
            except Exception as error:  # whatever one node's answer leads to, it ends no other's
                if not isinstance(error, FedsegError):
                    log(ERROR, "%s: its answer can't be used", name, exc_info=error)
                self._fail(name, plain(explain_error(error), MOST_OF_AN_ERROR))
        for name in sorted(self._unheard):
            self._fail(name, f"no answer within {self.federation.client_timeout:g} s")

    def _fail(self, name: str, reason: str) -> None:
        self.failures[name] = reason
        self._audit("answer refused or missing", name=name, reason=reason)
        self._tell(name, "failed", 0)
        log(WARNING, "%s: %s", name, reason)

    def _tell(self, name: str, stage: str, done: int) -> None:
        """What the server knows of a node's progress; a simulated node adds what itself knows."""
        FileProgress(self.run.progress, name)(stage, done, 1)

    def _take_upload(self, name: str, reply: Message) -> None:
        with well_formed(reply):
            text = text_in(reply, UPLOAD)
        upload = parse_upload(text, name, self.federation.classes)
        client = next(c for c in self.federation.clients if c.name == name)
        asked = [client.model, self.federation.model]
        check_architecture(upload, asked)
        check_sizes(upload, client.training)
        check_cost(upload, asked)
        store_upload(self.run, upload, _weights_in(reply), client.model, self.federation.seed)
        self._audit(
            "upload accepted",
            name=name,
            node=str(reply.metadata.src_node_id),
            arch=upload.info.arch,
            encoder=upload.info.encoder,
            sent_sha256=upload.sha256,
            weights=self._weights(self.run.clients / name),
        )

    def _take_score(self, name: str, reply: Message) -> None:
        evaluator = next(e for e in self.federation.evaluators if e.name == name)
        score = answered_score(_confusion_in(reply), self._introductions[name], evaluator)
        score.write(self._score(name), self._score_inputs(evaluator))
        self._audit(
            "score accepted",
            name=name,
            node=str(reply.metadata.src_node_id),
            weights=self._weights(self.run.global_model),
            miou=score.miou,
        )

    def _score_inputs(self, evaluator: Evaluator) -> Inputs:
        weights = self._weights(self.run.global_model)
        return answer_inputs(weights, load_info(self.run.global_model), evaluator)

    def _audit(self, event: str, **details: Any) -> None:
        try:
            self.run.audit.add(event, **details)
        except OSError as error:  # a full disk, for one: others' uploads may still fit
            log(ERROR, "%s: %s", self.run.audit.path, error)

    def _weights(self, checkpoint: Path) -> str:
        """The hash of a checkpoint's file of weights."""
        [weights] = file_hashes([checkpoint / WEIGHTS])
        return weights

    def _score(self, name: str) -> Path:
        return self.run.score(GLOBAL, name)


def packed(checkpoint: Path) -> tuple[str, dict[str, ConfigRecord]]:
    """A model to be sent: its `checkpoints.Info` as JSON, and its weights."""
    return load_info(checkpoint).model_dump_json(), to_records(StoredWeights(checkpoint))


def _confusion_in(reply: Message) -> list[int]:
    with well_formed(reply):
        return [int(count) for count in items_in(reply, CONFUSION)]


def _weights_in(reply: Message) -> dict[str, Tensor]:
    with well_formed(reply):
        return from_records(reply.content)
