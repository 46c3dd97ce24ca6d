"""The strategy against a grid in memory: what it asks, what it keeps, what it survives."""

import json
import re
import time

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo

import server.strategy
from fedseg.classes import ClassList
from fedseg.config import Evaluator, Federation
from fedseg.errors import FedsegError
from fedseg.files import read_json
from fedseg.flower.wire import from_records, to_records
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from fedseg.participants.introduction import Introduction
from fedseg.run.folder import Run, open_run
from fedseg.run.uploads import read_upload
from server.nodes import Nodes
from server.strategy import OneShot
from tests.disks import small_disk
from tests.memory import little_memory


class Grid:
    """Nodes that answer at once. `behaviour` maps a client to what it does when asked to train."""

    def __init__(self, behaviour, nodes):
        self.behaviour = behaviour
        self.nodes = nodes
        self.registered = {}  # node id -> name
        self.came = dict.fromkeys(range(10), "at noon")  # node id -> when
        self.evaluators = {}  # name -> introduction
        self.replies = {}
        self.away = {}  # node id -> True for one that is not there when it is first asked
        self.trained = []
        self.crossed = []  # clients that were asked to score another's model
        self.given = set()

    def get_nodes(self):
        return [
            NodeInfo(node_id=n, name=self.registered.get(n, ""), last_activated_at=self.came[n])
            for n in self.nodes
        ]

    def push_messages(self, messages):
        ids = []
        for message in messages:
            ids.append(f"message-{len(self.replies)}")
            self.replies[ids[-1]] = self._answer(message, ids[-1])
        return ids

    def _answer(self, message, message_id):
        message.metadata.__dict__["_message_id"] = message_id
        if message.metadata.message_type == "query":
            if self.away.pop(message.metadata.dst_node_id, None):
                return Message(Error(code=5, reason="Node Unavailable"), reply_to=message)
            names = self.nodes[message.metadata.dst_node_id]
            known = [self.evaluators[name] for name in names if name in self.evaluators]
            clients = [name for name in names if name not in self.evaluators]
            answer = ConfigRecord({"clients": clients, "evaluators": known})
            return Message(RecordDict({"answer": answer}), reply_to=message)
        if message.metadata.message_type == "evaluate.cross_site_evaluation":
            self.crossed.append(str(message.content["task"]["name"]))
            return self.behaviour["crossed"](message)
        if message.metadata.message_type == "evaluate":
            return self.behaviour[message.content["task"]["name"]](message)
        name = message.content["task"]["name"]
        self.trained.append(name)
        return self.behaviour[name](message)

    def pull_messages(self, message_ids):
        found = {i: self.replies[i] for i in message_ids if self.replies[i] is not None}
        for i in found:  # Flower gives an answer out once, and errors from then on
            assert i not in self.given
            self.given.add(i)
        return list(found.values())


@pytest.fixture(autouse=True)
def _quick(monkeypatch, within_a_run):
    """Within a run, and without waiting between two looks for answers."""
    monkeypatch.setattr("server.nodes.UPLOAD_POLL", 0.05)
    monkeypatch.setattr("server.nodes.AWAY_POLL", 0.05)


@pytest.fixture
def upload_of(trained):
    """Makes a behaviour: spoil the upload of a real training, send it."""

    def make(client, spoil=lambda weights, answer: None):
        def behave(message):
            [folder] = (trained / client.name).glob("checkpoint-*")
            weights = checkpoints.load(folder)[0].state_dict()
            answer = {"upload": read_upload(folder).model_dump_json()}
            spoil(weights, answer)
            content = {"answer": ConfigRecord(answer), **to_records(weights)}
            return Message(RecordDict(content), reply_to=message)

        return behave

    return make


def run_with(federation, tmp_path, behaviour, nodes=None, **settings):
    federation = federation.model_copy(update=settings)
    run = open_run(tmp_path / "run", federation)
    strategy = OneShot(run, federation)
    grid = Grid(behaviour, nodes or {1: ["one"], 2: ["two"]})
    strategy.start(grid, ArrayRecord(), timeout=0.5)
    kept = {path.name for path in run.clients.glob("[!.]*")} if run.clients.exists() else set()
    return strategy, grid, kept


def test_good_uploads_are_kept_and_not_asked_for_again(federation, tmp_path, upload_of):
    one, two = federation.clients
    behaviour = {"one": upload_of(one), "two": upload_of(two)}
    strategy, grid, kept = run_with(federation, tmp_path, behaviour)
    assert kept == {"one", "two"}
    assert strategy.failures == {}
    strategy, grid, _ = run_with(federation, tmp_path, behaviour)
    assert grid.trained == []


def test_one_node_may_speak_for_several_clients(federation, tmp_path, upload_of):
    one, two = federation.clients
    behaviour = {"one": upload_of(one), "two": upload_of(two)}
    _, _, kept = run_with(federation, tmp_path, behaviour, nodes={7: ["one", "two"]})
    assert kept == {"one", "two"}


def nan(weights, answer):
    weights["segmentation_head.0.bias"] = torch.full((19,), torch.nan)


def forged(weights, answer):
    answer["upload"] = answer["upload"].replace('"two"', '"one"')


def no_weights(weights, answer):
    weights.clear()


def raised(message):
    return Message(Error(code=2, reason="CUDA out of memory"), reply_to=message)


def unavailable(message, code=5):
    return Message(Error(code=code, reason="Node Unavailable"), reply_to=message)


def notify(message):
    return Message(
        RecordDict({"answer": ConfigRecord({"error": "label 7 is missing"})}), reply_to=message
    )


def empty(message):
    return Message(RecordDict(), reply_to=message)


def half(message):
    """An answer that neither is an upload nor says why there is none."""
    return Message(RecordDict({"answer": ConfigRecord({})}), reply_to=message)


def silent(message):
    return None


def blank(message):
    return Message(Error(code=2, reason="  \n "), reply_to=message)


def loud(message):
    return Message(Error(code=2, reason="\x1b[2J" + "x" * 10**6), reply_to=message)


def nan_seconds(weights, answer):
    answer["upload"] = re.sub(r'"seconds":[\d.]+', '"seconds":NaN', answer["upload"])


def endless_bytes(weights, answer):
    answer["upload"] = re.sub(r'"bytes":\d+', f'"bytes":{10**400}', answer["upload"])


def larger(weights, answer):
    answer["upload"] = re.sub(
        r'"inference_height":\d+', '"inference_height":8192', answer["upload"]
    )


def no_json(weights, answer):
    answer["upload"] = "[" * 100_000


def described(**changes):
    """A spoiler of the description of a model, of which one small tensor is sent."""

    def spoil(weights, answer):
        content = json.loads(answer["upload"])
        content["info"] |= changes
        answer["upload"] = json.dumps(content)
        kept = weights.popitem()
        weights.clear()
        weights.update([kept])

    return spoil


WIDE = {"pyramid_channels": 2048, "segmentation_channels": 2048}
"""Of a decoder of 1 GB."""


@pytest.mark.parametrize(
    ("train", "changes"),
    [
        ("all", {"encoder": "mit_b0", "decoder": WIDE}),
        pytest.param("all", {"encoder": "mit_b5"}, marks=pytest.mark.slow),
        ("all", {"decoder": WIDE}),
        ("all", {"arch": "unet", "decoder": {"channels": [16, 16, 16, 16, 4096]}}),
        ("all", {"encoder": "resnext101_32x48d"}),  # 3.3 GB
        ("decoder", {"encoder": "mit_b0", "decoder": WIDE}),
        ("decoder", {"encoder": "resnext101_32x48d", "norm": "group"}),
    ],
)
def test_a_model_that_is_only_described_takes_no_memory(
    federation_data, tmp_path, upload_of, train, changes
):
    federation_data["model"]["train"] = train
    federation = Federation.model_validate(federation_data)
    [one, two] = federation.clients
    bomb = upload_of(two, described(**changes))
    sent = lambda message: spoiled_base(bomb(message)) if train != "all" else bomb(message)  # noqa: E731
    run_with(federation, tmp_path, {"one": upload_of(one), "two": sent})  # what is built once
    with little_memory():
        for _ in range(2):  # the second time is a resubmission
            strategy, grid, kept = run_with(
                federation, tmp_path, {"one": upload_of(one), "two": sent}
            )
            assert "two" in grid.trained
            assert "two" not in kept
    expected = "lacks tensor|costs more than 30 times|more than 30 times the param|was asked for"
    assert re.search(expected, strategy.failures["two"])


def spoiled_base(message):
    """An upload of a part, as its description says."""
    answer = message.content["answer"]
    content = json.loads(answer["upload"])
    content["base"] = {"weights": "none", "sha256": "0" * 64}
    answer["upload"] = json.dumps(content)
    return message


SPOILS = (nan, forged, no_weights, nan_seconds, endless_bytes, larger, no_json)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (nan, "holds NaN"),
        (forged, "in the name of 'one'"),
        (no_weights, "lacks tensor"),
        (raised, "CUDA out of memory"),
        (notify, "label 7 is missing"),
        (empty, "malformed reply"),
        (half, "malformed reply"),
        (silent, "no answer within"),
        (blank, "its node failed: no reason given"),
        (loud, r"its node failed: \x1b[2Jxxx"),
        (nan_seconds, "malformed metadata: 'seconds'"),
        (endless_bytes, "malformed metadata: 'bytes'"),
        (larger, "was asked for"),
        (no_json, "malformed metadata"),
    ],
)
def test_a_bad_client_is_named_and_the_others_go_on(federation, tmp_path, upload_of, bad, expected):
    one, two = federation.clients
    spoils = bad in SPOILS
    behaviour = {"one": upload_of(one), "two": upload_of(two, bad) if spoils else bad}
    strategy, _, kept = run_with(federation, tmp_path, behaviour)
    assert kept == {"one"}
    assert expected in strategy.failures["two"]
    assert len(strategy.failures["two"]) < 1000
    assert "one" not in strategy.failures


def test_whatever_an_answer_leads_to_is_its_senders_failure(
    federation, tmp_path, upload_of, monkeypatch
):
    one, two = federation.clients
    real = server.strategy.store_upload

    def store(run, upload, *weights_and_model):
        if upload.name == "two":
            raise ZeroDivisionError("a fault that nobody thought of")
        return real(run, upload, *weights_and_model)

    monkeypatch.setattr(server.strategy, "store_upload", store)
    behaviour = {"one": upload_of(one), "two": upload_of(two)}
    strategy, _, kept = run_with(federation, tmp_path, behaviour)
    assert kept == {"one"}
    assert "ZeroDivisionError" in strategy.failures["two"]


def test_an_upload_that_does_not_fit_on_the_disk(federation, tmp_path, upload_of):
    one, two = federation.clients
    behaviour = {"one": upload_of(one), "two": upload_of(two)}
    with small_disk(tmp_path / "run", "12m"):  # an upload is 8 MB
        strategy, _, _ = run_with(federation, tmp_path, behaviour)
        assert "the server can't keep its upload" in strategy.failures["two"]
        assert "No space left on device" in strategy.failures["two"]
        assert "one" not in strategy.failures
        assert [path.name for path in strategy.run.clients.iterdir()] == ["one"]
        checkpoints.load(strategy.run.clients / "one")


def test_a_client_whose_node_never_appears(federation, tmp_path, upload_of):
    behaviour = {"one": upload_of(federation.clients[0])}
    strategy, _, kept = run_with(
        federation, tmp_path, behaviour, nodes={1: ["one"]}, client_timeout=0.5
    )
    assert kept == {"one"}
    assert strategy.failures == {"two": "no node speaks for it"}


def test_nodes_may_appear_late(federation, tmp_path):
    grid = Grid({}, {})
    polls = iter([{}, {1: ["one"]}, {1: ["one"], 2: ["two"]}])

    def appear():
        grid.nodes = next(polls, grid.nodes)
        return [NodeInfo(node_id=node) for node in grid.nodes]

    grid.get_nodes = appear
    assert Nodes(grid, tmp_path).find({"one", "two"}, timeout=5) == {"one": 1, "two": 2}


def test_a_node_that_does_not_say_whom_it_speaks_for_is_passed_over(federation, tmp_path):
    grid = Grid({}, {1: [], 2: ["one"]})
    answer = grid._answer

    def garbled(message, message_id):
        reply = answer(message, message_id)
        if message.metadata.dst_node_id == 1:
            return Message(RecordDict(), reply_to=message)
        return reply

    grid._answer = garbled
    assert Nodes(grid, tmp_path).find({"one"}, timeout=5) == {"one": 2}


def test_a_node_speaks_only_for_whom_it_is_registered(federation, tmp_path):
    grid = Grid({}, {1: ["one"], 2: ["one"], 3: ["two"]})
    grid.registered = {1: "thief", 2: "one", 3: "two"}
    assert Nodes(grid, tmp_path).find({"one", "two"}, timeout=5) == {"one": 2, "two": 3}


@pytest.mark.parametrize("code", [5, 3])
def test_a_node_that_comes_back_is_asked_again(federation, tmp_path, upload_of, code):
    """Its SuperNode was killed: Flower reports it away, its message lost, or nothing at all if it
    is quickly back."""
    upload = upload_of(federation.clients[0])
    away, restarted = iter([True, False]), iter([True, False])
    grid = Grid({}, {1: ["one"], 2: ["two"]})

    def goes_away(message):
        return unavailable(message, code) if next(away) else upload(message)

    def is_restarted(message):
        if next(restarted):
            grid.came[2] = "at one"
            return None
        return upload(message)

    grid.behaviour = {"one": goes_away, "two": is_restarted}
    messages = {n: question(n, node) for n, node in (("one", 1), ("two", 2))}
    replies = dict(Nodes(grid, tmp_path).ask(messages, timeout=20, patience=5))
    assert grid.trained == ["one", "two", "one", "two"]
    assert all("upload" in reply.content["answer"] for reply in replies.values())


def test_only_silence_is_waited_for_no_longer(federation, tmp_path):
    """Clients that train one after another, each within the time, are all waited for."""
    began = time.monotonic()
    due = {"one": 0.5, "two": 1.0, "three": 1.5, "late": 60.0}

    class Slow(Grid):
        def pull_messages(self, message_ids):
            now = time.monotonic() - began
            name = {i: str(self.asked[i]) for i in message_ids}
            return super().pull_messages(i for i in message_ids if due[name[i]] < now)

        def push_messages(self, messages):
            names = [message.content["task"]["name"] for message in messages]
            ids = super().push_messages(messages)
            self.asked = dict(zip(ids, names, strict=True))
            return ids

    def answers(message):
        return Message(RecordDict(), reply_to=message)

    grid = Slow(dict.fromkeys(due, answers), {n: [name] for n, name in enumerate(due, 1)})
    messages = {name: question(name, node) for node, name in enumerate(due, 1)}
    replies = Nodes(grid, tmp_path).ask(messages, timeout=1.0, patience=60)
    assert [name for name, _ in replies] == ["one", "two", "three"]
    assert time.monotonic() - began < 20


def test_a_node_that_stays_away_is_given_up(federation, tmp_path):
    grid = Grid({"one": unavailable}, {})
    ((name, reply),) = Nodes(grid, tmp_path).ask(
        {"one": question("one", 1)}, timeout=20, patience=0.2
    )
    assert name == "one"
    assert reply.error.code == 5
    assert grid.trained == ["one"]


class TellingGrid(Grid):
    """Nodes that tell which names in the class list their cards have."""

    known = ("sky",)

    def _answer(self, message, message_id):
        reply = super()._answer(message, message_id)
        if message.metadata.message_type == "query":
            reply.content["answer"]["known"] = list(self.known)
        return reply


def test_a_class_that_no_node_knows_ends_the_run_before_training(federation, tmp_path, upload_of):
    federation = federation.model_copy(update={"classes": ClassList(names=("lane marking", "sky"))})
    behaviour = {client.name: upload_of(client) for client in federation.clients}
    run = Run(tmp_path / "run")
    grid = TellingGrid(behaviour, {1: ["one"], 2: ["two"]})
    with pytest.raises(FedsegError, match=r"classes: no dataset card .* 'lane marking'"):
        OneShot(run, federation).start(grid, ArrayRecord())
    assert grid.trained == []
    grid = TellingGrid(behaviour, {1: ["one"], 2: ["two"]})
    grid.known = ("sky", "lane marking")
    OneShot(run, federation).start(grid, ArrayRecord(), timeout=0.5)
    assert grid.trained == ["one", "two"]


def test_a_node_that_always_goes_away_is_not_asked_for_ever(federation, tmp_path):
    grid = Grid({"one": unavailable}, {1: ["one"]})
    ((_, reply),) = Nodes(grid, tmp_path).ask({"one": question("one", 1)}, timeout=20, patience=0.2)
    assert reply.has_error()
    assert grid.trained == ["one"] * 3


def question(name, node):
    content = RecordDict({"task": ConfigRecord({"name": name})})
    return Message(content, dst_node_id=node, message_type="train", ttl=60)


CITY = Introduction(name="city", dataset="folder", split="val", images=7, classes=("a", "b"))
GOOD = {"confusion": [3, 1, 0, 4]}


def evaluated(federation, tmp_path, answer, expected=CITY):
    """What comes of an evaluator that gives that answer when it is asked to score."""

    def answers(message):
        assert from_records(message.content).keys() == network.state_dict().keys()
        assert set(message.content) == {"task"}
        return Message(RecordDict({"answer": ConfigRecord(answer)}), reply_to=message)

    city = Evaluator(name="city", dataset="folder")
    federation = federation.model_copy(update={"evaluators": [city], "client_timeout": 0.5})
    run = open_run(tmp_path / "run", federation)
    network = seeded_build(federation.model, 0)
    checkpoints.save(
        run.global_model, network, checkpoints.describe_model(federation.model, federation.training)
    )
    strategy = OneShot(run, federation)
    grid = Grid({"city": answers}, {1: ["city"]})
    grid.evaluators = {"city": expected.model_dump_json()}
    strategy.evaluate(grid, timeout=0.5)
    return strategy, run.score("global", "city")


def test_an_evaluators_matrix_becomes_a_score(federation, tmp_path):
    strategy, path = evaluated(federation, tmp_path, GOOD)
    score = read_json(path)
    assert strategy.failures == {}
    assert score["iou"] == {"a": 3 / 4, "b": 4 / 5}
    assert score["images"] == 7
    written = path.stat().st_mtime_ns
    evaluated(federation, tmp_path, GOOD)
    assert path.stat().st_mtime_ns == written  # what is done is not asked for again
    path.write_text('{"miou": 1.0}')  # but what is no score of this model is
    evaluated(federation, tmp_path, GOOD)
    assert read_json(path)["iou"] == {"a": 3 / 4, "b": 4 / 5}


@pytest.mark.parametrize(
    ("answer", "expected", "why"),
    [
        ({"confusion": [1, 2, 3]}, CITY, "not a confusion matrix"),
        ({"confusion": ["x"]}, CITY, "malformed reply"),
        ({"confusion": [float("inf"), 1.0, 0.0, 4.0]}, CITY, "malformed reply"),
        ({"confusion": [float("nan"), 1.0, 0.0, 4.0]}, CITY, "malformed reply"),
        ({"confusion": [1e300, 1.0, 0.0, 4.0]}, CITY, "not a confusion matrix"),
        ({"confusion": [2**62, 2**62, 0, 4]}, CITY, "not a confusion matrix"),
        ({"error": "the disk is gone"}, CITY, "the disk is gone"),
        (GOOD, Introduction(name="city", problem="no such folder"), "no such folder"),
        (GOOD, Introduction(name="other"), "no node speaks for it"),
    ],
)
def test_an_evaluator_that_fails_is_named(federation, tmp_path, answer, expected, why):
    strategy, path = evaluated(federation, tmp_path, answer, expected)
    assert why in strategy.failures["city"]
    assert not path.exists()


def test_clients_score_each_other_and_one_that_can_not_stops_nothing(
    federation, tmp_path, upload_of
):
    one, two = federation.clients
    truths = torch.randint(0, 9, (361,)).tolist()

    def crossed(message):
        by = str(message.content["task"]["name"])
        assert from_records(message.content)
        answer = {"confusion": truths} if by == "two" else {"error": "its disk is gone"}
        return Message(RecordDict({"answer": ConfigRecord(answer)}), reply_to=message)

    behaviour = {"one": upload_of(one), "two": upload_of(two), "crossed": crossed}
    strategy, grid, _ = run_with(federation, tmp_path, behaviour)
    strategy.cross_site_evaluate(grid, 0.5)
    assert sorted(grid.crossed) == ["one", "two"]
    found = read_json(strategy.run.cross_site_evaluation("one", "two"))
    assert torch.tensor(found["confusion"]).flatten().tolist() == truths
    assert not strategy.run.cross_site_evaluation("two", "one").exists()
    assert strategy.failures == {}
    strategy.cross_site_evaluate(grid, 0.5)  # only what is missing is asked for again
    assert sorted(grid.crossed) == ["one", "one", "two"]


def test_a_node_that_a_restarted_server_still_waits_for_is_asked_again(
    federation, tmp_path, monkeypatch
):
    monkeypatch.setattr("server.nodes.AWAY_POLL", 0.1)
    grid = Grid({}, {1: ["one"], 2: ["two"]})
    grid.registered = {1: "one", 2: "two"}
    grid.away = {2: True}
    nodes = Nodes(grid, tmp_path)
    assert nodes.find({"one", "two"}, timeout=5) == {"one": 1, "two": 2}
    assert nodes.refused == {}


def test_an_evaluator_that_introduces_itself_as_a_client_is_named(federation, tmp_path):
    city = Evaluator(name="city", dataset="folder")
    federation = federation.model_copy(update={"evaluators": [city], "client_timeout": 0.5})
    run = open_run(tmp_path / "run", federation)
    info = checkpoints.describe_model(federation.model, federation.training)
    checkpoints.save(run.global_model, seeded_build(federation.model, 0), info)
    strategy = OneShot(run, federation)
    strategy.evaluate(Grid({}, {1: ["city"]}), timeout=0.5)
    assert strategy.failures == {"city": "its node does not introduce itself as an evaluator"}


@pytest.mark.parametrize(
    "introduction",
    [
        '{"name": "city", "images": 1e400}',
        '{"name": "city", "images": -1}',
        '{"name": "../city"}',
        '{"name": "city", "problem": "' + "x" * 10**6 + '"}',
        "[" * 100_000,
        "null",
    ],
)
def test_an_introduction_that_cannot_be_is_its_nodes_failure(introduction, tmp_path):
    grid = Grid({}, {1: ["city"], 2: ["one"]})
    grid.evaluators = {"city": introduction}
    assert Nodes(grid, tmp_path).find({"city", "one"}, timeout=0.5) == {"one": 2}
