"""Finding nodes, and asking them, even if they go away and come back."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import INFO, WARNING, getLogger
from pathlib import Path

from flwr.app import Message
from flwr.serverapp import Grid

from fedseg.errors import FedsegError, plain
from fedseg.flower import messages
from fedseg.flower.internals import LOST
from fedseg.flower.messages import CLIENTS, EVALUATORS, QUERY, items_in, known_in
from fedseg.flower.supervisor import MOST_OF_AN_ERROR, what_happened
from fedseg.participants.introduction import Introduction, Question
from server.inbox import Inbox, Lost

NODE_POLL, UPLOAD_POLL, AWAY_POLL = 0.2, 1.0, 5.0
"""Seconds between two looks: for nodes, which come within seconds, for uploads, and for nodes that
went away. Each look costs the SuperLink work, which in a simulation is taken from the training."""
MOST_TIMES = 3
"""How often a node is asked the same, should it go away in between: it might go because of it."""

log = getLogger("flwr").log


@dataclass
class _Question:
    name: str
    message: Message
    activated: str
    """Time when its node came, as the server knew it when it was last asked."""
    ids: set[str]
    """Ids of the messages that may still be answered."""
    times: int = 1
    gone: float = 0.0
    """Time when its node was found to be away."""
    error: Message | FedsegError = field(default_factory=lambda: FedsegError("no answer"))
    """Error to report if no reply arrives."""

    @property
    def node(self) -> int:
        return self.message.metadata.dst_node_id


class Nodes:
    """The nodes of a run.

    Attributes:
        introductions: evaluators' descriptions of their datasets, by name.
        known: names in the class list that the dataset cards of a node have, by the name that it
            speaks for; of nodes that say so.
        refused: why a node does not speak, by the name it is registered under.
    """

    def __init__(self, grid: Grid, folder: Path, question: Question | None = None) -> None:
        self.introductions: dict[str, Introduction] = {}
        self.known: dict[str, set[str]] = {}
        self.refused: dict[str, str] = {}
        self._grid = grid
        self._question = messages.question(question or Question())
        self._inbox = Inbox(grid, folder)
        self._found: dict[str, int] = {}  # node id by the name it speaks for
        self._registered: dict[int, str] = {}  # name by node id, of those asked
        self._away_until: dict[int, float] = {}  # when to ask a node again that was away
        self._unanswered: dict[str, int] = {}  # id of an introduction's request -> its node

    def find(self, wanted: set[str], timeout: float) -> dict[str, int]:
        """Ask nodes for their names, as they appear, until all that are wanted are found.

        Args:
            wanted: names of clients and evaluators.
            timeout: seconds after which the search ends with those found so far.

        Returns:
            Node id by name, where the first node to speak for somebody is the one that counts, and
            a node that was registered under a name speaks for nobody else.
        """
        deadline = time.monotonic() + timeout
        while wanted - self._found.keys() - self.refused.keys() and time.monotonic() < deadline:
            nodes = {node.node_id: node.name for node in self._grid.get_nodes()}
            now = time.monotonic()
            unasked = nodes.keys() - self._registered.keys()
            new = sorted(n for n in unasked if now >= self._away_until.get(n, 0.0))
            requests = [Message(self._question, dst_node_id=n, message_type=QUERY) for n in new]
            self._unanswered |= zip(self._grid.push_messages(requests), new, strict=True)
            self._registered |= {n: nodes[n] for n in new}
            for message_id, reply in self._inbox.collect(self._unanswered):
                # An answer can be pulled only once, so it must not be asked for again.
                self._introduce(self._unanswered.pop(message_id), reply)
            time.sleep(NODE_POLL)
        return {name: node for name, node in self._found.items() if name in wanted}

    def ask(
        self, messages: Mapping[str, Message], timeout: float, patience: float
    ) -> Iterator[tuple[str, Message | FedsegError]]:
        """Ask nodes, and hand on their replies as they come, one in memory at a time.

        A node that went away and came back is asked again: what it was doing is lost, but what it
        had finished is not. Whichever of its answers comes first counts.

        Args:
            messages: what to ask, by name.
            timeout: seconds without a reply after which no more are waited for. Nodes on one
                machine may train one after another, so it is not the time for all of them.
            patience: seconds in which a node may come back.

        Yields:
            Name and reply; or why there is none, where a node stayed away or sent no whole one.
        """
        activated = self._activated()
        asked = {
            name: _Question(name, message, activated.get(message.metadata.dst_node_id, ""), {i})
            for (name, message), i in zip(
                messages.items(), self._push(*messages.values()), strict=True
            )
        }
        deadline, looked = time.monotonic() + timeout, time.monotonic()
        while asked and time.monotonic() < deadline:
            questions = {i: question for question in asked.values() for i in question.ids}
            for message_id, reply in self._inbox.collect(questions):
                question = questions[message_id]
                question.ids.discard(message_id)
                if _is_away(reply):
                    question.gone, question.error = time.monotonic(), reply
                elif asked.pop(question.name, None):
                    yield question.name, reply
                    deadline = time.monotonic() + timeout
            if time.monotonic() - looked > AWAY_POLL:
                looked = time.monotonic()
                for question in self._given_up(asked.values(), patience):
                    del asked[question.name]
                    yield question.name, question.error
            time.sleep(UPLOAD_POLL)
        self._inbox.drop(i for question in asked.values() for i in question.ids)

    def _given_up(self, asked: Iterable[_Question], patience: float) -> list[_Question]:
        """Ask those again whose node went away and is back; the others' time may be up."""
        activated = self._activated()
        given_up = []
        for question in asked:
            came = activated.get(question.node)
            is_away = not question.ids
            if came and (is_away or came != question.activated) and question.times < MOST_TIMES:
                self._ask_again(question, came)
            elif is_away and time.monotonic() - question.gone > patience:
                given_up.append(question)
        return given_up

    def _ask_again(self, question: _Question, came: str) -> None:
        log(INFO, "%s: its node is back; asking again", question.name)
        old = question.message
        question.message = Message(
            old.content,
            dst_node_id=question.node,
            message_type=old.metadata.message_type,
            ttl=old.metadata.ttl,
        )
        question.activated, question.times = came, question.times + 1
        question.ids |= set(self._push(question.message))

    def _push(self, *messages: Message) -> list[str]:
        return list(self._grid.push_messages(messages))

    def _activated(self) -> dict[int, str]:
        """When each node that is there now came, by its id."""
        return {node.node_id: node.last_activated_at for node in self._grid.get_nodes()}

    def _introduce(self, node: int, reply: Message | FedsegError) -> None:
        """Note the names that a node answers to, if they are those it is registered under."""
        registered = self._registered[node]
        if _is_away(reply):
            # A server that was killed knows nodes that are not back yet.
            del self._registered[node]
            self._away_until[node] = time.monotonic() + AWAY_POLL
            return
        try:
            if isinstance(reply, FedsegError):
                raise reply
            with well_formed(reply):
                names = [str(name) for name in items_in(reply, CLIENTS)]
                texts = [str(text) for text in items_in(reply, EVALUATORS)]
                found = {i.name: i for i in map(Introduction.model_validate_json, texts)}
                known = known_in(reply)
            for name in [*names, *found]:
                if registered and name != registered:
                    raise FedsegError(f"it is registered as '{registered}', not as '{name}'")
        except Exception as error:  # of one node
            log(WARNING, "node %d gives no valid names: %s", node, plain(error))
            if registered:
                self.refused[registered] = plain(error, MOST_OF_AN_ERROR)
            return
        self.introductions = found | self.introductions
        if known is not None:
            self.known = dict.fromkeys([*names, *found], known) | self.known
        self._found = dict.fromkeys([*names, *found], node) | self._found


def _is_away(reply: Message | FedsegError) -> bool:
    """Whether a node went away or its answer got lost, so that it may be asked again."""
    if isinstance(reply, FedsegError):
        return isinstance(reply, Lost)
    return reply.has_error() and reply.error.code in LOST


@contextmanager
def well_formed(reply: Message) -> Iterator[None]:
    """Turn whatever a reply lacks while it is read into a FedsegError."""
    if reply.has_error():
        # Flower sends a traceback; its last line is what happened.
        lines = (reply.error.reason or "").strip().splitlines() or ["no reason given"]
        raise FedsegError(f"its node failed: {what_happened(lines[-1])}")
    try:
        yield
    except (KeyError, AttributeError, TypeError, ValueError, ArithmeticError) as error:
        reason = plain(f"{type(error).__name__}: {error}", MOST_OF_AN_ERROR)
        raise FedsegError(f"malformed reply: {reason}") from None
