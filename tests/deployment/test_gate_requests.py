"""What a registered node may ask for, tried on Flower's own server behind the gate."""

import copy
import sys
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.proto.node_pb2 import Node as NodeProto
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity
from flwr.supercore.utils import int64_to_uint64
from flwr.superlink.grid import HttpGrid

from fedseg.config import Section
from fedseg.deployment import admission, gate, signing
from fedseg.deployment.authority import trusting
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.quota import UploadQuota
from fedseg.flower import internals, messages, wire
from fedseg.flower.supervisor import free_port, quiet_environment
from tests.deployment.serving import serving

MAX_UPLOAD = 30 * 2**20
SERVER = 1  # Flower's id of it


class Node:
    """A registered node, which asks for whatever it likes, in Flower's own words."""

    def __init__(self, federation, name):
        key = ec.generate_private_key(ec.SECP384R1())
        self.key = internals.public_key_to_bytes(key.public_key())
        federation.owner.register_node(name, self.key)
        self.client = internals.FleetClient(federation.address, federation.tls, key)._client
        activate = ActivateNodeRequest(public_key=self.key, heartbeat_interval=30)
        self.id = self.client.ActivateNode(activate).node_id
        self.proto = NodeProto(node_id=self.id)

    def pull(self):
        """The message that waits for it, and the ids of its objects."""
        pulled = self.client.PullMessages(PullMessagesRequest(node=self.proto))
        (message,), (tree,) = pulled.messages_list, pulled.message_object_trees
        return message, [node.object_id for node in internals.iterate_object_tree(tree)]

    def announce(self, request):
        """Announce a reply; returns the session in which its objects are awaited."""
        return self.client.PushMessages(request).session_id

    def push(self, run_id, session, object_id, content):
        request = PushObjectRequest(
            node=self.proto,
            run_id=run_id,
            session_id=session,
            object_id=object_id,
            object_content=content,
        )
        return self.client.PushObject(request).stored


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A server with the gate before it, a run, and nodes that are asked for an introduction."""
    home = tmp_path_factory.mktemp("federation")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_environment(home / "flower").items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", sys.argv)
        patch.setattr(gate, "OBJECT_SECONDS", 0.0)
        make_certificates(home, ["localhost"])
        signing.sign_app(home)
        (home / "secret").write_bytes(b"s" * 32)
        tls = [home / name for name in ("ca.crt", "server.crt", "server.key")]
        superlink = internals.SuperLink.create(
            "127.0.0.1", free_port(), tls, home / "superlink.db", home / "secret"
        )
        superlink.store_app(signing.read_signed(home / "app.signed"), signing.APP_ID)
        quota = UploadQuota(home / "quota.db", superlink.end_of_runs)
        door = gate.Gate(superlink.app, superlink, quota, MAX_UPLOAD)
        impatient = {"http": admission.Impatient, "lifespan": "off"}
        with (
            serving(superlink.app, home, timeout_graceful_shutdown=1) as inner,
            serving(door, home, timeout_graceful_shutdown=1, **impatient) as outer,
        ):
            it = SimpleNamespace(superlink=superlink, door=door, quota=quota, home=home)
            it.tls, it.address = trusting(home / "ca.crt"), f"localhost:{outer}"
            it.inner = f"localhost:{inner}"
            it.owner = internals.ControlClient(it.inner, it.tls, "Bearer x")
            it.run_id, it.grid = start_run(it)
            it.one, it.two = Node(it, "one"), Node(it, "two")
            yield it


def start_run(federation):
    """A run, and what its ServerApp would send by."""
    state = federation.superlink._state
    run_id = federation.owner.start_run(signing.APP_ID, {"out": "a"})
    (run,) = state.get_run_info(run_ids=[run_id])
    token = state.claim_task(run.primary_task_id)
    assert state.activate_task(run.primary_task_id)
    certificate = (federation.home / "ca.crt").read_bytes()
    certificate = (federation.home / "ca.crt").read_bytes()
    grid = HttpGrid(federation.inner, False, certificate, token=token)
    grid.set_run(run)
    return run_id, grid


def compose(content, node, kind, grid):
    """A message of a run's ServerApp."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("task_id", 1), ("run_id", grid.run.run_id), ("node_id", SERVER)):
            patch.setattr(TaskIdentity, f"_{name}", value)
        return Message(content, node.id, kind)


def ask(federation, node, kind="query", grid=None):
    """Ask a node something; returns what it pulls."""
    content = RecordDict({"task": ConfigRecord({"name": str(time.monotonic_ns())})})
    grid = grid or federation.grid
    message = compose(content, node, kind, grid)
    grid.push_messages([message])
    pulled, objects = node.pull()
    assert pulled.metadata.message_id == message.object_id
    return pulled, objects


def reply_to(message, node, objects=1, **changes):
    """The request by which Flower's nodes announce a reply, with some fields changed."""
    first = time.monotonic_ns() << 64
    names = [f"{first + number:064x}" for number in range(objects + 2)]
    tree = ObjectTree(object_id=names[0])
    content = tree.children.add(object_id=names[1])
    for name in names[2:]:
        content.children.add(object_id=name)
    metadata = message.metadata
    request = PushMessagesRequest(
        node=node.proto,
        messages_list=[MessageProto()],
        message_object_trees=[tree],
        clientapp_runtime_list=[1.0],
    )
    reply = request.messages_list[0]
    reply.content.SetInParent()
    reply.metadata.CopyFrom(metadata)
    reply.metadata.message_id = names[0]
    reply.metadata.reply_to_message_id = metadata.message_id
    reply.metadata.src_node_id, reply.metadata.dst_node_id = node.id, SERVER
    reply.metadata.created_at = time.time()
    reply.metadata.ttl = metadata.ttl - 60
    for name, value in changes.items():
        setattr(reply.metadata, name, value)
    return request


def status(call, *arguments):
    """The HTTP status with which a request is answered."""
    try:
        call(*arguments)
    except httpx.HTTPStatusError as error:
        return error.response.status_code
    return 200


def stored(federation):
    """How many messages the server has: requests and replies."""
    state = federation.superlink._state
    return state.num_message_ins(), state.num_message_res()


def test_a_reply_arrives(federation):
    """By all the requests that Flower's node makes for a message."""
    node, run_id = federation.one, federation.run_id
    heartbeat = SendNodeHeartbeatRequest(node=node.proto, heartbeat_interval=30)
    assert node.client.SendNodeHeartbeat(heartbeat).success
    asked, objects = ask(federation, node)
    run = node.client.GetRun(GetRunRequest(node=node.proto, run_id=run_id)).run
    fab = GetFabRequest(node=node.proto, run_id=run_id, hash_str=run.fab_hash)
    assert node.client.GetFab(fab).fab.content
    for object_id in objects:
        pull = PullObjectRequest(node=node.proto, run_id=run_id, object_id=object_id)
        assert node.client.PullObject(pull).object_content
    confirm = ConfirmMessageReceivedRequest(
        node=node.proto, run_id=run_id, message_object_id=asked.metadata.message_id
    )
    node.client.ConfirmMessageReceived(confirm)

    request = compose(RecordDict(), node, "query", federation.grid)
    request.metadata.__dict__["_message_id"] = asked.metadata.message_id
    reply = Message(RecordDict({"answer": ConfigRecord({"clients": ["one"]})}), reply_to=request)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    announced = reply_to(asked, node)
    announced.message_object_trees[0].CopyFrom(get_object_tree(reply))
    announced.messages_list[0].metadata.message_id = reply.object_id
    session = node.announce(announced)
    assert node.announce(announced) != session  # sent again, as when the answer was lost
    session = node.announce(announced)
    for object_id, part in get_all_nested_objects(reply).items():
        assert node.push(run_id, session, object_id, part.deflate())
    (found,) = federation.grid.pull_messages([asked.metadata.message_id])
    assert found.content["answer"]["clients"] == ["one"]


def another_tree(request, change):
    change(request.message_object_trees[0])
    return request


CHANGES = {
    "an instruction": {"reply_to_message_id": "", "src_node_id": SERVER},
    "an instruction of its own": {"reply_to_message_id": ""},
    "from the server": {"src_node_id": SERVER},
    "no id": {"message_id": ""},
    "an id that is not the object's": {"message_id": "1" * 64},
    "to nothing": {"reply_to_message_id": "2" * 64},
    "to what is no id": {"reply_to_message_id": "x' OR 1 --"},
    "another kind": {"message_type": "train"},
    "another round": {"group_id": "7"},
    "another run": {"run_id": 5},
    "made never": {"created_at": float("nan")},
    "for ever": {"ttl": float("inf")},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_node_sends_replies_only(federation, changes):
    asked, _ = ask(federation, federation.one)
    before = stored(federation)
    assert status(federation.one.announce, reply_to(asked, federation.one, **changes)) == 403
    assert stored(federation) == before
    assert status(federation.one.announce, reply_to(asked, federation.one)) == 200


def test_a_node_instructs_no_other(federation):
    """With and without a question that it was asked: another node is sent nothing."""
    one, two = federation.one, federation.two
    asked, _ = ask(federation, one)
    for reply in (asked.metadata.message_id, ""):
        for source in (one.id, SERVER, two.id):
            changes = {"dst_node_id": two.id, "src_node_id": source, "reply_to_message_id": reply}
            assert status(one.announce, reply_to(asked, one, **changes)) == 403
    assert not two.client.PullMessages(PullMessagesRequest(node=two.proto)).messages_list


def test_a_node_answers_what_it_was_asked_once(federation):
    one, two = federation.one, federation.two
    asked, _ = ask(federation, one)
    assert status(two.announce, reply_to(asked, two)) == 403
    assert status(two.announce, reply_to(asked, one)) == 403
    assert status(one.announce, reply_to(asked, one)) == 200
    assert status(one.announce, reply_to(asked, one)) == 403
    sent = compose(RecordDict(), two, "query", federation.grid)
    federation.grid.push_messages([sent])  # not fetched yet
    waiting = MessageProto()
    waiting.metadata.CopyFrom(asked.metadata)
    waiting.metadata.message_id = sent.object_id
    assert status(two.announce, reply_to(waiting, two)) == 403
    two.pull()


def deepen(tree):
    tree.children[0].children[0].children.add(object_id="3" * 64)


def widen(tree):
    tree.children.add(object_id="4" * 64)


def repeat(tree):
    tree.children[0].children.add(object_id=tree.children[0].children[0].object_id)


def misname(tree):
    tree.children[0].children[0].object_id = "\n[fedseg] forged line of a log"


def shrink(tree):
    del tree.children[:]


@pytest.mark.parametrize("change", [deepen, widen, repeat, misname, shrink])
def test_a_reply_has_the_objects_of_a_reply(federation, change):
    asked, _ = ask(federation, federation.one)
    request = reply_to(asked, federation.one)
    change(request.message_object_trees[0])
    assert status(federation.one.announce, request) == 403


def test_a_request_announces_one_reply(federation):
    one = federation.one
    first, second = (ask(federation, one)[0] for _ in range(2))
    both = reply_to(first, one)
    both.MergeFrom(reply_to(second, one))
    none = PushMessagesRequest(node=one.proto)
    late = reply_to(first, one)
    late.clientapp_runtime_list[0] = float("nan")
    full = reply_to(first, one)
    full.messages_list[0].content.items.add(key="a").config_record.SetInParent()
    for request in (both, none, late, full):
        assert status(one.announce, request) == 403
    assert stored(federation)[1] >= 0


def test_nothing_of_another_node_is_passed_on(federation):
    one, two, run_id = federation.one, federation.two, federation.run_id
    asked, objects = ask(federation, two)
    client, mine, its = one.client, one.proto, two.proto
    message = asked.metadata.message_id
    assert status(client.PullMessages, PullMessagesRequest(node=its)) == 403
    heartbeat = SendNodeHeartbeatRequest(node=its, heartbeat_interval=1800)
    assert status(client.SendNodeHeartbeat, heartbeat) == 403
    assert status(client.DeactivateNode, DeactivateNodeRequest(node_id=two.id)) == 403
    activate = ActivateNodeRequest(public_key=two.key, heartbeat_interval=1800)
    assert status(client.ActivateNode, activate) == 403
    assert status(client.RegisterNode, RegisterNodeFleetRequest(public_key=one.key)) == 403
    assert status(client.UnregisterNode, UnregisterNodeFleetRequest(node_id=one.id)) == 403
    for proto in (mine, its):
        for object_id in objects:
            pull = PullObjectRequest(node=proto, run_id=run_id, object_id=object_id)
            assert status(client.PullObject, pull) == 403
        confirm = ConfirmMessageReceivedRequest(
            node=proto, run_id=run_id, message_object_id=message
        )
        assert status(client.ConfirmMessageReceived, confirm) == 403
    for object_id in objects:  # it is all there
        pull = PullObjectRequest(node=its, run_id=run_id, object_id=object_id)
        assert two.client.PullObject(pull).object_content
    assert federation.owner.nodes()["two"] == (two.id, "online")


def test_no_object_is_known_before_it_is_announced():
    """A node that knew it could announce it with other parts, and Flower refuse the right one."""
    record = {"weights-00000": ConfigRecord({"safetensors": b"same"})}
    question = Section()
    ids = []
    for _ in range(2):
        for content in (
            messages.question(question),
            messages.request("one", question, weights=copy.deepcopy(record)),
            messages.introduction(["one"], []),
            messages.uploaded("{}", copy.deepcopy(record)),
            messages.scored([1, 2]),
            messages.failed("why"),
        ):
            ids += get_all_nested_objects(content)
    assert len(set(ids)) == len(ids)


def test_an_object_is_pushed_by_the_node_that_announced_it(federation):
    one, two, run_id = federation.one, federation.two, federation.run_id
    asked, _ = ask(federation, two)
    request = reply_to(asked, two)
    session = two.announce(request)
    name = request.message_object_trees[0].object_id
    assert status(one.push, run_id, "", name, b"x") == 403
    assert status(one.push, 5, "5", name, b"x") == 403
    assert not two.push(run_id, session, name, b"x")  # Flower compares content and name


def test_a_run_that_did_not_ask_is_none_of_a_nodes_business(federation):
    run_id, grid = start_run(federation)
    one, two = federation.one, federation.two
    ask(federation, two, grid=grid)
    run = GetRunRequest(node=one.proto, run_id=run_id)
    assert status(one.client.GetRun, run) == 403
    fab_hash = two.client.GetRun(GetRunRequest(node=two.proto, run_id=run_id)).run.fab_hash
    for named in (run_id, 5):
        fab = GetFabRequest(node=one.proto, run_id=named, hash_str=fab_hash)
        assert status(one.client.GetFab, fab) == 403


def test_a_node_learns_that_a_run_is_over(federation):
    """Though Flower has forgotten by then that it was asked."""
    run_id, grid = start_run(federation)
    for node in (federation.one, federation.two):
        ask(federation, node, grid=grid)
        node.client.GetRun(GetRunRequest(node=node.proto, run_id=run_id))
    federation.superlink._state.stop_run(run_id)
    for node in (federation.one, federation.two):
        fleet = internals.FleetClient.__new__(internals.FleetClient)
        fleet._client = node.client
        assert fleet.run_has_ended(node.id, run_id)
        federation.door._parts.clear()  # as after a restart
        assert fleet.run_has_ended(node.id, run_id)


def test_the_objects_of_a_reply_are_bounded(federation):
    """By an upload as large as it may be; an answer without weights has a few."""
    one = federation.one
    most = messages.most_objects("train", MAX_UPLOAD) - 2
    asked, _ = ask(federation, one, "train")
    assert status(one.announce, reply_to(asked, one, most + 1)) == 413
    assert status(one.announce, reply_to(asked, one, most)) == 200
    for kind in ("query", "evaluate", "evaluate.cross_site_evaluation"):
        asked, _ = ask(federation, one, kind)
        assert status(one.announce, reply_to(asked, one, 10)) == 413
        assert status(one.announce, reply_to(asked, one)) == 200


@pytest.mark.parametrize("shape", [(1, 5), (40, 90), (9, 150), (3, 400), (900, 7)])
@pytest.mark.parametrize("number", [1, 30])
def test_an_upload_has_fewer_objects(shape, number, monkeypatch):
    """However its tensors fill the records, whose size is counted in kilobytes here."""
    for module in (wire, messages):
        monkeypatch.setattr(module, "SHARD", 1000)
    weights = {f"layer.{n}": torch.zeros(shape) for n in range(number)}
    size = sum(tensor.nbytes for tensor in weights.values())
    content = RecordDict({"answer": ConfigRecord(), **wire.to_records(weights)})
    objects = 1 + len(get_all_nested_objects(content))  # and the message
    assert objects <= messages.most_objects("train", size)


def test_a_node_announces_one_reply_at_a_time_and_rests(federation, monkeypatch):
    one, two = federation.one, federation.two
    asked, other = (ask(federation, node, "train")[0] for node in (one, two))
    monkeypatch.setattr(gate, "OBJECT_SECONDS", 0.3)
    request = reply_to(asked, one, 8)
    assert status(one.announce, request) == 200
    assert status(one.announce, request) == 503  # Flower's nodes try again
    assert status(two.announce, reply_to(other, two)) == 200
    time.sleep(3.2)
    assert status(one.announce, request) == 200
    monkeypatch.setattr(gate, "OBJECT_SECONDS", 0.0)
    federation.door._rest.clear()
    lock = federation.superlink._state
    statuses = []
    with lock.session() as session:  # as if the first one took long
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")
        threads = [
            threading.Thread(target=lambda: statuses.append(status(one.announce, request)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.5)
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 503]


def test_what_a_node_pushed_is_remembered(federation):
    """By a server that is started again, as long as the run goes on, and then forgotten."""
    run_id, grid = start_run(federation)
    one = federation.one
    asked, _ = ask(federation, one, grid=grid)
    session = one.announce(reply_to(asked, one))
    piece = b"x" * 7_000_000
    assert [status(one.push, run_id, session, "a" * 64, piece) for _ in range(4)] == [200] * 4
    again = UploadQuota(federation.home / "quota.db", federation.superlink.end_of_runs)
    federation.door.quota = again
    assert status(one.push, run_id, session, "a" * 64, piece) == 413
    federation.superlink._state.stop_run(run_id)
    assert status(one.push, run_id, session, "a" * 64, b"") == 413
    run_id, grid = start_run(federation)
    asked, _ = ask(federation, one, grid=grid)
    assert status(one.announce, reply_to(asked, one)) == 200
    rows = again._database.execute("SELECT DISTINCT run_id FROM pushed").fetchall()
    assert {int64_to_uint64(row[0]) for row in rows} == {run_id, federation.run_id}
