"""What a node's owner allows by default, and what an owner can loosen."""

import numpy as np
import pytest

from fedseg.config import Privacy, SupervisedTraining, load
from fedseg.data.sampling import RareClassSampler
from fedseg.errors import PublicError
from fedseg.files import EMBEDDED, app_dir
from fedseg.participants.allowance import Allowance, allowance_of
from fedseg.participants.node import Node, simulated_node, train_task

EXAMPLES = [
    path
    for path in sorted((app_dir() / "examples").glob("*.toml"))
    if "[[clients]]" in path.read_text()
]
COUNTS = np.full((1000, 19), 100)
ASKED = SupervisedTraining(iterations=60, batch_size=8)


def node(tmp_path, **changes):
    settings = {"name": "one", "role": "trainer", "dataset": "folder", "state": tmp_path}
    return Node.model_validate(settings | {"server": "host:1"} | changes)


@pytest.mark.parametrize(
    ("asked", "reason", "loosened"),
    [
        ({"iterations": 1}, "iterations: 1 asked for, but the node trains with 50 at least",
         {"minima": {"iterations": 1}}),
        ({"batch_size": 2}, "batch_size: 2 asked for", {"minima": {"batch_size": 2}}),
        ({"crop": (32, 4096)}, "crop: 32 asked for", {"minima": {"crop": 32}}),
        ({"learning_rate": 1e-30}, "learning_rate: 1e-30 asked for",
         {"minima": {"learning_rate": 0}}),
        ({"learning_rate": 1.0}, "learning_rate: 1 asked for, but the node trains with 0.01 at",
         {"limits": {"learning_rate": 1.0}}),
        ({"weight_decay": 1e4}, "weight_decay: 1e\\+04 asked for",
         {"limits": {"weight_decay": 1e4}}),
    ],
)  # fmt: skip
def test_what_brings_out_single_images_is_refused(tmp_path, asked, reason, loosened):
    training = ASKED.model_copy(update=asked)
    with pytest.raises(PublicError, match=reason):
        Allowance(node(tmp_path)).check_task(training)
    Allowance(node(tmp_path, **loosened)).check_task(training)
    Allowance(node(tmp_path)).check_task(ASKED)


def client_of(node, **training):
    task = train_task(load(EMBEDDED).clients[0], 0, 60.0)
    wanted = ASKED.model_copy(update=training)
    return node.client(task.model_copy(update={"training": wanted}))


def test_too_few_images_of_a_dataset_are_refused(tmp_path):
    strict = node(tmp_path)
    with pytest.raises(PublicError, match=r"passes over its images: 0.48 asked for, .* 0.5 at l"):
        Allowance(strict).check_draws(client_of(strict), COUNTS)
    Allowance(strict).check_draws(client_of(strict, iterations=63), COUNTS)


def test_a_rare_class_draws_no_single_image(tmp_path):
    """With a class list of two, of which one is rare, most draws are of that one."""
    counts = COUNTS[:100, :2].copy()
    counts[1:, 1] = 0
    counts[0, 1] = 1
    strict, loose = node(tmp_path), node(tmp_path, minima={"images": 1})
    client = client_of(strict)
    sampler = RareClassSampler(counts)
    drawn = [sampler.draw(np.random.default_rng(n)) for n in range(200)]
    assert np.mean(np.array(drawn) == 0) == pytest.approx(sampler.shares[0], abs=0.1)
    assert sampler.shares[0] > 0.9
    assert sampler.shares.sum() == pytest.approx(1)
    with pytest.raises(PublicError, match="images that share the draws: 1"):
        Allowance(strict).check_draws(client, counts)
    Allowance(loose).check_draws(client, counts)
    Allowance(strict).check_draws(client_of(strict), COUNTS[:100])
    private = client.model_copy(update={"privacy": Privacy(epsilon=8.0)})
    Allowance(strict).check_draws(private, counts)  # which draws all alike


def test_one_image_is_no_dataset(tmp_path):
    strict = node(tmp_path)
    with pytest.raises(PublicError, match="images that share the draws: 1 asked for"):
        Allowance(strict).check_draws(client_of(strict), COUNTS[:1])


def test_no_task_draws_as_the_server_can_tell(tmp_path):
    """Else two tasks may differ in one step, and their uploads in that step's gradient."""
    first, second = Allowance(node(tmp_path / "a")), Allowance(node(tmp_path / "b"))
    assert first.draw_seed("task") == Allowance(node(tmp_path / "a")).draw_seed("task")
    assert len({first.draw_seed("task"), first.draw_seed("other"), second.draw_seed("task")}) == 3
    secret = tmp_path / "a" / "draws.secret"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_simulation_needs_no_allowance(tmp_path):
    client = load(EMBEDDED).clients[0]
    assert allowance_of(simulated_node(client, tmp_path)) is None
    private = client.model_copy(update={"privacy": Privacy(epsilon=8.0)})
    node = simulated_node(private, tmp_path)
    assert node.client(train_task(private, 0, 60.0)) == private


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_allowed_by_default(tmp_path, path):
    for client in load(path).clients:
        Allowance(node(tmp_path)).check_task(client.training)
