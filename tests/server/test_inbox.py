"""Replies that come piece by piece, from several nodes at once."""

from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import PullObjectResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.superlink.grid import HttpGrid

from fedseg.errors import FedsegError
from server.inbox import Inbox, Lost


class SlowGrid(HttpGrid):
    """Hands out announced replies; each piece once it `has_come`."""

    def __init__(self):
        super().__init__(token="none")
        self.announced = {}  # id of the request -> reply
        self.pieces = {}  # id of the piece -> content
        self.has_come = set()
        self.gone = set()
        self.confirmed = []
        self._run = SimpleNamespace(run_id=1)

    @property
    def run(self):
        return self._run

    @property
    def _runtime_client(self):
        return self

    def PullMessages(self, request):
        found = [self.announced.pop(i) for i in request.message_ids if i in self.announced]
        return SimpleNamespace(
            messages_list=[message_to_proto(reply) for reply in found],
            message_object_trees=[get_object_tree(reply) for reply in found],
        )

    def PullObject(self, request):
        piece = request.object_id
        if piece in self.gone:
            return PullObjectResponse(object_found=False)
        come = piece in self.has_come
        content = self.pieces[piece] if come else b""
        return PullObjectResponse(object_found=True, object_available=come, object_content=content)

    def ConfirmMessageReceived(self, request):
        self.confirmed.append(request.message_object_id)

    def announce(self, request_id, size):
        """A reply of so many records to a request; returns the ids of its pieces."""
        request = Message(RecordDict(), dst_node_id=1, message_type="train")
        request.metadata.__dict__["_message_id"] = request_id
        records = {f"record-{n}": ConfigRecord({"n": n, "of": request_id}) for n in range(size)}
        reply = Message(RecordDict(records), reply_to=request)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        self.announced[request_id] = reply
        objects = {i: part.deflate() for i, part in get_all_nested_objects(reply).items()}
        self.pieces |= objects
        return list(objects)


@pytest.fixture
def grid(within_a_run):
    return SlowGrid()


def test_a_reply_that_does_not_come_keeps_no_other_waiting(grid, tmp_path):
    inbox, asked = Inbox(grid, tmp_path), ["stalled", "slow", "quick"]
    grid.announce("stalled", 6)
    slow, quick = grid.announce("slow", 6), grid.announce("quick", 6)
    grid.has_come |= {*quick, *slow[:3]}
    ((name, reply),) = inbox.collect(asked)
    assert name == "quick"
    assert [int(reply.content[f"record-{n}"]["n"]) for n in range(6)] == list(range(6))
    asked.remove("quick")
    assert list(inbox.collect(asked)) == []
    grid.has_come |= set(slow)
    ((name, reply),) = inbox.collect(asked)
    assert name == "slow"
    assert len(reply.content) == 6
    assert len(grid.confirmed) == 2
    inbox.drop(["stalled"])
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_stops_in_the_middle_may_be_asked_again(grid, tmp_path):
    inbox, pieces = Inbox(grid, tmp_path), grid.announce("cut", 6)
    grid.has_come |= set(pieces[:3])
    assert list(inbox.collect(["cut"])) == []
    assert len(list(tmp_path.iterdir())) == 1
    grid.gone |= set(pieces[3:])
    ((name, error),) = inbox.collect(["cut"])
    assert name == "cut"
    assert isinstance(error, Lost)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b"Message 0\0", b"RecordDict  2\0{}"])
def test_pieces_that_are_no_message_are_their_senders_failure(grid, tmp_path, content):
    inbox, pieces = Inbox(grid, tmp_path), grid.announce("odd", 2)
    grid.pieces |= dict.fromkeys(pieces, content)
    grid.has_come |= set(pieces)
    ((name, error),) = inbox.collect(["odd"])
    assert name == "odd"
    assert isinstance(error, FedsegError)
    assert "its answer" in str(error)
    assert list(tmp_path.iterdir()) == []
