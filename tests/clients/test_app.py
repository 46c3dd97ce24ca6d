"""What really leaves a node: the messages of the ClientApp of one that is deployed."""

import os
import re
import shutil

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from PIL import Image

from clients.app import app
from fedseg.classes import CLASSES
from fedseg.config import Federation, Protocol, load
from fedseg.deployment.certificates import make_certificates
from fedseg.deployment.identity import make_node
from fedseg.extras.private_training import PrivateStepper
from fedseg.flower.wire import from_records, to_records
from fedseg.models import checkpoints
from fedseg.models.adapters import base_of
from fedseg.models.build import seeded_build
from fedseg.participants import allowance
from fedseg.participants.client import client_seed
from fedseg.participants.introduction import Question
from fedseg.participants.metadata import parse_upload
from fedseg.participants.node import ScoreTask, train_task
from fedseg.participants.uploads import store_upload
from fedseg.run.folder import open_run
from fedseg.storage.audit import LONGEST_LINE, read_audit
from fedseg.storage.hashes import content_hash
from fedseg.training import supervised
from tests.conftest import LOOSE_MINIMA
from tests.deployment.test_identities import make_signer
from tests.disks import no_space, small_disk

TELLS = {"name", "dataset", "info", "images", "iterations", "seconds", "bytes",
         "sha256", "base", "epsilon", "delta"}  # fmt: skip
"""What the README says that a client tells, beside its weights."""
HOST = "annas-own-machine"


@pytest.fixture(autouse=True)
def _of_a_host(monkeypatch, within_a_run):
    """Within a run, on a host whose name must not leave it."""
    for asked in ("socket.gethostname", "socket.getfqdn", "platform.node"):
        monkeypatch.setattr(asked, lambda *_: HOST)


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    """What a node's owner gets from others."""
    folder = tmp_path_factory.mktemp("certs")
    make_certificates(folder, ["localhost"])
    make_signer(folder)
    return folder


@pytest.fixture
def make_folder(tmp_path, certs):
    """Makes a node's folder: make_folder(role, root, extra lines of node.toml, minima)."""

    def make(role, root, extra="", minima=LOOSE_MINIMA):
        folder = tmp_path / "node"
        settings = {"name": "one", "role": role, "dataset": "folder", "root": str(root)}
        make_node(folder, settings | {"server": "localhost:1"}, certs)
        with (folder / "node.toml").open("a") as file:
            file.write(minima + extra)
        return folder

    return make


def ask(folder, kind, task, weights=None):
    """The reply of a deployed node, and every byte of it that Flower would send."""
    context = Context(1, 1, {"fedseg": str(folder)}, RecordDict(), {}, 1)
    content = RecordDict({"task": ConfigRecord(task)} | (weights or {}))
    message = Message(content, dst_node_id=1, message_type=kind)
    message.metadata.__dict__["_message_id"] = "asked"
    reply = app(message, context)
    return reply, b"".join(part.deflate() for part in get_all_nested_objects(reply).values())


def train(folder, federation: Federation, weights=None, **changes):
    task = train_task(federation.clients[0], federation.seed, federation.client_timeout)
    training = task.training.model_copy(update=changes)
    how = task.model_copy(update={"training": training}).model_dump_json()
    return ask(folder, "train", {"name": "one", "how": how}, weights)


def refusal(folder, federation, **changes):
    """Why a training is refused."""
    return train(folder, federation, **changes)[0].content["answer"]["error"]


def assert_names_nothing(sent: bytes, root):
    for private in (str(root), "images/0.png", "labels", "node.toml", HOST):
        assert private.encode() not in sent, private


def test_a_base_that_differs_is_refused_before_anything_is_trained(make_folder, federation):
    client = federation.clients[0]
    model = client.model.model_copy(update={"train": "decoder"})
    folder = make_folder("trainer", client.root)
    for seed, is_same in ((federation.seed + 1, False), (federation.seed, True)):
        asked = client.model_copy(update={"model": model})
        task = train_task(asked, federation.seed, federation.client_timeout)
        task = task.model_copy(update={"base": base_of(model, seed)})
        reply, _ = ask(folder, "train", {"name": "one", "how": task.model_dump_json()})
        text = str(reply.content["answer"])
        assert ("is not the server's: both need the same encoder_weights" in text) != is_same
    upload = parse_upload(reply.content["answer"]["upload"], expected="one")
    assert upload.base == task.base


def test_an_upload_is_the_weights_and_what_the_readme_lists(make_folder, federation, tmp_path):
    root = federation.clients[0].root
    folder = make_folder("trainer", root)
    reply, sent = train(folder, federation)
    assert set(reply.content) == {"weights-00000", "weights-00001", "answer"}
    assert set(reply.content["answer"]) == {"upload", "salt"}
    upload = parse_upload(reply.content["answer"]["upload"], expected="one")
    assert set(upload.model_dump()) == TELLS
    assert_names_nothing(sent, root)
    for part in ("images/0.png", "labels/0.png"):  # neither as a file nor as pixels
        assert (root / part).read_bytes()[-200:] not in sent
        assert Image.open(root / part).tobytes()[:200] not in sent
    # The weights are those of the model, and nothing hides among them.
    run = open_run(tmp_path / "run", federation)
    store_upload(run, upload, from_records(reply.content))
    (trained,) = (folder / "state").glob("checkpoint-*")
    ours, theirs = (checkpoints.load(f)[0].state_dict() for f in (trained, run.clients / "one"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_server_opens_no_file_on_a_node(make_folder, federation, tmp_path):
    secret = tmp_path / "secret.safetensors"
    secret.write_bytes(b"private")
    folder = make_folder("trainer", federation.clients[0].root)
    task = train_task(federation.clients[0], federation.seed, federation.client_timeout)
    model = task.model.model_copy(update={"encoder_weights": str(secret)})
    how = task.model_copy(update={"model": model}).model_dump_json()
    reply, _ = ask(folder, "train", {"name": "one", "how": how})
    assert "the node must name" in reply.content["answer"]["error"]
    client = federation.clients[0].model_copy(update={"model": model})
    asked = train_task(client, federation.seed, federation.client_timeout)
    assert str(secret) not in asked.model_dump_json()


def test_errors_tell_the_server_no_path(make_folder, federation, tmp_path):
    for number, (root, extra) in enumerate(
        [
            (tmp_path / "nowhere", ""),
            (federation.clients[0].root, '\n[model]\nencoder_weights = "private.safetensors"\n'),
            (federation.clients[0].root, "\n[misspelt]\n"),
        ]
    ):
        folder = make_folder("trainer", root, extra)
        reply, sent = train(folder, federation)
        assert reply.content["answer"]["error"].endswith("the node's log says more")
        assert_names_nothing(sent, root)
        assert b"private.safetensors" not in sent
        folder.rename(tmp_path / f"node-{number}")


NOTES = {"progress", "curve.json", "audit.jsonl", "draws.secret"}
NOTES |= {"quota.json", "quota.lock", "draws.lock"}
FULL = "no space left on its disk; its owner must make room (the node's log says where)"


def test_a_client_whose_disk_is_full_says_so(make_folder, federation):
    folder = make_folder("trainer", federation.clients[0].root)
    with small_disk(folder / "state", "4m"):  # its model is 8 MB
        reply, _ = train(folder, federation)
        assert reply.content["answer"]["error"] == FULL
        left = {path.name for path in (folder / "state").iterdir()}
        assert left <= NOTES


def test_a_client_that_can_not_save_its_model_says_so(make_folder, federation, monkeypatch):
    folder = make_folder("trainer", federation.clients[0].root)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_json", no_space)
        reply, sent = train(folder, federation)
    assert reply.content["answer"]["error"] == FULL
    assert b"/home/alice" not in sent
    left = {path.name for path in (folder / "state").iterdir()}
    assert left <= NOTES
    reply, _ = train(folder, federation)  # room was made
    assert "upload" in reply.content["answer"]


def test_an_evaluator_tells_its_set_and_the_matrix(make_folder, make_world, run):
    root = make_world("city", seed=9)
    folder = make_folder("evaluator", root)
    reply, sent = ask(folder, "query", {"how": Question().model_dump_json()})
    assert reply.content["answer"]["clients"] == []
    assert reply.content["answer"]["known"] == sorted(CLASSES)
    assert_names_nothing(sent, root)
    network, info = checkpoints.load(run.clients / "one")
    how = ScoreTask(protocol=Protocol(), timeout=600).model_dump_json()
    task = {"name": "one", "how": how, "info": info.model_dump_json()}
    reply, _ = ask(folder, "evaluate", task, to_records(network.state_dict()))
    assert set(reply.content) == {"answer"}
    assert set(reply.content["answer"]) == {"confusion", "salt"}
    assert sum(reply.content["answer"]["confusion"]) == 4 * 48 * 80


def test_other_clients_models_are_scored_only_where_the_owner_says_so(make_folder, run, tmp_path):
    root = load(run.config).clients[1].root
    network, info = checkpoints.load(run.clients / "two")
    how = ScoreTask(protocol=Protocol(), timeout=600).model_dump_json()
    task = {"name": "one", "how": how, "info": info.model_dump_json()}
    weights = to_records(network.state_dict())
    folder = make_folder("trainer", root)
    reply, _ = ask(folder, "evaluate.cross_site_evaluation", task, weights)
    assert "takes no part in cross-site evaluation" in reply.content["answer"]["error"]
    folder.rename(tmp_path / "unwilling")
    allow_cross_site(folder := make_folder("trainer", root))
    reply, sent = ask(folder, "evaluate.cross_site_evaluation", task, weights)
    assert sum(reply.content["answer"]["confusion"]) == 4 * 48 * 80
    assert_names_nothing(sent, root)


def test_an_evaluators_data_is_never_trained_on(make_folder, federation):
    """A server that lists an evaluator under [[clients]] gets a refusal, and nothing else."""
    folder = make_folder("evaluator", federation.clients[0].root)
    reply, _ = train(folder, federation)
    assert "is an evaluator: it trains nothing" in reply.content["answer"]["error"]
    assert not list((folder / "state").glob("checkpoint*"))


@pytest.mark.parametrize("kind", ["evaluate", "evaluate.cross_site_evaluation"])
def test_a_trainers_data_is_not_scored_on_without_its_owners_leave(make_folder, federation, kind):
    """With a constant model, a confusion matrix is a histogram of the labels."""
    folder = make_folder("trainer", federation.clients[0].root)
    info = checkpoints.describe_model(federation.model, federation.training)
    how = ScoreTask(protocol=Protocol(), timeout=600).model_dump_json()
    task = {"name": "one", "how": how, "info": info.model_dump_json()}
    weights = to_records(seeded_build(federation.model, 0).state_dict())
    reply, _ = ask(folder, kind, task, weights)
    assert set(reply.content["answer"]) == {"error", "salt"}


def allow_cross_site(folder):
    """Have a node's owner allow other clients' models."""
    file = folder / "node.toml"
    file.write_text(f"cross_site_evaluation = true\n{file.read_text()}")


def score(folder, federation, **changes):
    """The answer of an evaluator that is asked to score an untrained model."""
    padding = changes.pop("padding", "")
    info = checkpoints.describe_model(federation.model, federation.training)
    info = info.model_copy(update=changes.pop("info", {}))
    how = ScoreTask(protocol=Protocol(**changes), timeout=600)
    task = {"name": "one", "how": how.model_dump_json(), "info": padding + info.model_dump_json()}
    weights = to_records(seeded_build(federation.model, 0).state_dict())
    return ask(folder, "evaluate", task, weights)[0].content["answer"]


@pytest.mark.parametrize(
    ("limits", "changes", "reason"),
    [
        ("", {"info": {"inference_height": 8192}}, "pixels, but the node allows 33554432"),
        ("", {"height": 8192}, "pixels, but the node allows 33554432"),
        ("parameters = 1000", {}, "parameters, but the node allows 1000"),
        ("pixels = 1000", {}, "pixels, but the node allows 1000"),
        ("", {"info": {"encoder": "tu-regnety_1280"}}, "allows 500000000"),
        ("seconds = 1e-9", {}, "not done within 1e-09 s; gave up .node.toml, limits.seconds"),
        ("memory = 0.01", {}, "GiB of memory in use, but 0.0 allowed"),
    ],
)
def test_what_scoring_may_cost_is_limited_by_the_owner(
    make_folder, make_world, federation, limits, changes, reason
):
    folder = make_folder("evaluator", make_world("city"), f"\n[limits]\n{limits}\n")
    answer = score(folder, federation, **changes)
    assert set(answer) == {"error", "salt"}
    assert re.search(reason, answer["error"])


@pytest.mark.parametrize(
    ("limits", "model", "training", "reason"),
    [
        ("parameters = 1000", {}, {}, "parameters, but the node allows 1000"),
        ("", {"encoder": "tu-regnety_1280"}, {}, "allows 500000000"),
        ("", {}, {"crop": (32768, 32768)}, "pixels, but the node allows 33554432"),
    ],
)
def test_what_training_may_cost_is_limited_by_the_owner(
    make_folder, federation, limits, model, training, reason
):
    folder = make_folder("trainer", federation.clients[0].root, f"\n[limits]\n{limits}\n")
    task = train_task(federation.clients[0], federation.seed, federation.client_timeout)
    task = task.model_copy(
        update={
            "model": task.model.model_copy(update=model),
            "training": task.training.model_copy(update=training),
        }
    )
    reply, _ = ask(folder, "train", {"name": "one", "how": task.model_dump_json()})
    assert reason in reply.content["answer"]["error"]


def test_scores_are_counted_and_limited(make_folder, make_world, federation):
    """An evaluator is an oracle: with many models, much is learnt of its labels."""
    folder = make_folder("evaluator", make_world("city"), "\n[limits]\nscores_per_day = 2\n")
    assert [set(score(folder, federation)) for _ in range(2)] == 2 * [{"confusion", "salt"}]
    for _ in range(2):
        answer = score(folder, federation)
        assert answer["error"].startswith("has sent 2 confusion matrices within a day")


def test_a_node_notes_what_it_was_asked_and_what_it_sent(make_folder, federation):
    folder = make_folder("trainer", federation.clients[0].root)
    reply, _ = train(folder, federation)
    asked, sent = read_audit(folder / "state" / "audit.jsonl")
    assert (asked["event"], asked["run"]) == ("training asked for", "1")
    upload = parse_upload(reply.content["answer"]["upload"])
    assert sent["event"] == "model sent"
    assert sent["sha256"] == upload.sha256 == content_hash(from_records(reply.content))


def test_no_request_silences_an_evaluator(make_folder, make_world, federation, run_cli):
    """What is logged is bounded, and what was sent is counted without the log."""
    folder = make_folder("evaluator", make_world("city"))
    state = folder / "state"
    everything = {"coverage": tuple(range(19)) * 20_000}
    for changes in ({"padding": " " * 2**21}, {"info": everything}, {"padding": "\t\n" * 2**20}):
        score(folder, federation, **changes)
        assert run_cli("audit", state).returncode == 0
    assert set(score(folder, federation)) == {"confusion", "salt"}
    assert max(map(len, (state / "audit.jsonl").read_bytes().splitlines())) < LONGEST_LINE
    assert (state / "audit.jsonl").stat().st_size < 2**21
    (state / "audit.jsonl").write_bytes(b" " * 2**21 + b"\n")  # as an older version left it
    assert set(score(folder, federation)) == {"confusion", "salt"}
    (state / "quota.json").write_bytes(b"{")
    assert "was lost; it does nothing until" in score(folder, federation)["error"]


def test_requests_do_not_fill_a_nodes_disk(make_folder, make_world, federation, monkeypatch):
    monkeypatch.setattr(allowance, "MOST_REQUESTS", 3)
    folder = make_folder("evaluator", make_world("city"), "\n[limits]\nparameters = 1\n")
    for _ in range(3):
        assert "the node allows 1" in score(folder, federation)["error"]
    before = {path: path.stat().st_size for path in (folder / "state").rglob("*")}
    assert "was asked 3 times within a day" in score(folder, federation)["error"]
    after = {path: path.stat().st_size for path in (folder / "state").rglob("*")}
    after.pop(folder / "state" / "progress" / "one.json")
    before.pop(folder / "state" / "progress" / "one.json")
    assert after == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"iterations": 1, "batch_size": 2},
            "iterations: 1 asked for, but the node trains with 50",
        ),
        ({"batch_size": 2}, "batch_size: 2 asked for"),
        ({"crop": (32, 64)}, "crop: 32 asked for"),
        ({"learning_rate": 1.0}, "learning_rate: 1 asked for"),
        ({"weight_decay": 1000.0}, "weight_decay: 1000 asked for"),
    ],
)
def test_a_training_of_few_steps_or_images_is_refused(
    make_folder, make_world, federation, changes, reason
):
    """Gradients of one step on two images can be inverted."""
    root = make_world("large", count=8)
    Image.fromarray(np.full((48, 80), 17, np.uint8)).save(root / "labels" / "0.png")
    folder = make_folder("trainer", root, minima="")
    asked = {"iterations": 60, "batch_size": 8, "crop": (64, 64)} | changes
    assert refusal(folder, federation, **asked).startswith(reason)
    assert not list((folder / "state").glob("checkpoint-*"))


def test_a_training_of_one_image_is_refused(make_folder, make_world, federation):
    """Rare-class sampling draws it nearly always."""
    folder = make_folder("trainer", make_world("one-image", count=1), minima="")
    error = refusal(folder, federation, iterations=60, batch_size=8, crop=(64, 64))
    assert error.startswith("images that share the draws: 1 asked for")


def test_trainings_are_counted_and_limited(make_folder, federation):
    """Uploads that differ in little can be subtracted; the same one again tells nothing."""
    extra = "\n[limits]\ntrainings_per_day = 2\n"
    folder = make_folder("trainer", federation.clients[0].root, extra)
    assert "upload" in train(folder, federation)[0].content["answer"]
    assert "upload" in train(folder, federation, iterations=4)[0].content["answer"]
    for iterations in (5, 6):
        error = refusal(folder, federation, iterations=iterations)
        assert error.startswith("has trained 2 models within a day")
    for iterations in (3, 4):
        assert "upload" in train(folder, federation, iterations=iterations)[0].content["answer"]


def test_two_tasks_share_no_step(make_folder, federation, monkeypatch):
    """Two trainings that differ in one step alone would tell that step's gradient."""
    folder = make_folder("trainer", federation.clients[0].root)
    drawn = []
    monkeypatch.setattr(supervised, "fit", lambda network, *given: drawn.append(given[3].seed))
    for iterations in (3, 4):
        train(folder, federation, iterations=iterations)
    assert len(set(drawn)) == 2
    assert client_seed(federation.seed, federation.clients[0]) not in drawn


def test_weights_beside_a_training_are_not_begun_with(make_folder, federation):
    """With weights of its choice, a server could make an update tell a single image."""
    folder = make_folder("trainer", federation.clients[0].root)
    first, _ = train(folder, federation)
    for path in (folder / "state").glob("checkpoint-*"):
        shutil.rmtree(path)
    chosen = seeded_build(federation.model, 77).state_dict()
    second, _ = train(folder, federation, to_records(chosen))
    hashes = [content_hash(from_records(reply.content)) for reply in (first, second)]
    assert hashes[0] == hashes[1]


PRIVATE = "\n[privacy]\nepsilon = 100.0\ndelta = 0.01\n"


def test_trainings_that_differ_in_little_have_one_budget(
    make_folder, federation, run_cli, tmp_path
):
    pytest.importorskip("opacus")
    root = federation.clients[0].root
    folder = make_folder("trainer", root, PRIVATE)
    left = "epsilon 100 of 100, delta 0.01 of 0.01 left"
    assert left in run_cli("deploy", "node", folder, "--check").out
    first = parse_upload(train(folder, federation)[0].content["answer"]["upload"])
    again = parse_upload(train(folder, federation)[0].content["answer"]["upload"])
    assert again == first  # what is stored costs nothing
    for step in (1, 2, 3):
        error = refusal(folder, federation, learning_rate=1e-3 + step * 1e-6)
        assert error.startswith(f"its privacy budget is used up: epsilon {first.epsilon:.4g}")
    # The same images elsewhere, by other names and by another card, are the same images.
    moved = tmp_path / "moved"
    for part, name in (("images", "left"), ("labels", "truth")):
        shutil.copytree(root / part, moved / name)
        for path in (moved / name).iterdir():
            path.rename(path.with_name(f"z{9 - int(path.stem)}{path.suffix}"))
    card = 'name="mine"\ntitle="Mine"\nkind="real"\nimages="left/*.png"\nlabels="truth/*.png"\n'
    (tmp_path / "mine.toml").write_text(card + "ignore_ids = [255, 254]\n[splits.all]\n")
    text = (folder / "node.toml").read_text().replace(str(root), str(moved))
    (folder / "node.toml").write_text(text.replace('"folder"', f'"{tmp_path / "mine.toml"}"'))
    assert "its privacy budget is used up" in refusal(folder, federation, iterations=4)
    left = f"privacy: epsilon {100 - first.epsilon:.4g} of 100, delta 0 of 0.01 left"
    assert left in run_cli("deploy", "node", folder, "--check").out
    # Its owner raises the total.
    text = (folder / "node.toml").read_text()
    (folder / "node.toml").write_text(
        text.replace("delta = 0.01", "delta = 0.01\ntotal_epsilon=200")
    )
    assert "upload" in train(folder, federation, iterations=4)[0].content["answer"]
    assert "its privacy budget is used up" in refusal(folder, federation, iterations=5)


def test_a_private_training_that_is_interrupted_has_spent(make_folder, federation, monkeypatch):
    pytest.importorskip("opacus")
    folder = make_folder("trainer", federation.clients[0].root, PRIVATE)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PrivateStepper, "step", fail)
        with pytest.raises(KeyboardInterrupt):
            train(folder, federation)
    assert "its privacy budget is used up" in refusal(folder, federation)


def test_a_private_training_that_can_not_begin_has_spent_nothing(make_folder, federation):
    pytest.importorskip("opacus")
    too_much = PRIVATE.replace("0.01", "0.5")
    folder = make_folder("trainer", federation.clients[0].root, too_much)
    assert "allows to publish one image of 4" in refusal(folder, federation)
    text = (folder / "node.toml").read_text()
    (folder / "node.toml").write_text(text.replace("delta = 0.5", "delta = 0.01"))
    assert "upload" in train(folder, federation)[0].content["answer"]


def test_a_nodes_state_is_its_owners_alone(make_folder, federation):
    folder = make_folder("trainer", federation.clients[0].root)
    state = folder / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    state.chmod(0o755)  # as an older version made it
    (state / "checkpoint-old").mkdir()
    (state / "checkpoint-old" / "upload.json").write_text("{}")
    before = os.umask(0o022)
    try:
        assert "upload" in train(folder, federation)[0].content["answer"]
        assert "error" in train(folder, federation, crop=(32768, 32768))[0].content["answer"]
        (folder / "after").touch()
    finally:
        os.umask(before)
    paths = [state, *state.rglob("*")]
    assert {"upload.json", "curve.json", "one.json", "quota.json"} <= {path.name for path in paths}
    for path in paths:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (folder / "after").stat().st_mode & 0o777 == 0o644
