import pytest

from fedseg.config import Federation, Protocol, SupervisedTraining
from fedseg.errors import FedsegError, PublicError
from fedseg.participants.node import Node, load_node, simulated_node, train_task


def node(**changes):
    settings = {"name": "one", "role": "trainer", "dataset": "folder", "state": "state"}
    return Node.model_validate(settings | {"server": "host:1"} | changes)


@pytest.fixture
def task(federation):
    return train_task(federation.clients[0], 0, 60.0)


def test_the_server_says_how_and_the_node_says_where(task, tmp_path):
    client = node(root=tmp_path, split="train").client(task)
    assert (client.model, client.training) == (task.model, task.training)
    assert (client.dataset, client.root, client.split) == ("folder", tmp_path, "train")


def test_limits_bound_what_the_server_asks_for(task):
    asked = SupervisedTraining(iterations=500, batch_size=4, threads=1)
    task = task.model_copy(update={"training": asked})
    limits = {"iterations": 100, "batch_size": 8, "threads": 3}
    training = node(limits=limits).client(task).training
    assert (training.iterations, training.batch_size, training.threads) == (100, 4, 1)


def test_an_owner_chooses_the_model(task):
    model = node(model={"arch": "unet", "encoder_weights": "/own.safetensors"}).client(task).model
    assert (model.arch, model.encoder) == ("unet", task.model.encoder)
    assert model.encoder_weights == "/own.safetensors"


def test_a_simulated_node_trains_exactly_what_the_federation_says(federation_data, tmp_path):
    federation_data["clients"][0]["model"] = {"encoder_weights": "/some.safetensors"}
    federation = Federation.model_validate(federation_data)
    for client in federation.clients:
        task = train_task(client, 0, 60.0)
        assert simulated_node(client, tmp_path).client(task) == client


def test_only_a_simulated_node_tells_all_of_an_error(tmp_path):
    error = FedsegError("/home/ann/data: no such folder")
    assert node(server=None).explain(error) == str(error)
    assert "/home" not in node().explain(error)
    assert "/home" not in node().explain(OSError("/home/ann/data"))
    assert node().explain(PublicError("no progress for 8 s")) == "no progress for 8 s"


def test_a_nodes_file_is_read_as_strictly_as_any(tmp_path):
    with pytest.raises(FedsegError, match="fedseg deploy init"):
        load_node(tmp_path)
    (tmp_path / "node.toml").write_text('name = "x"\nrole = "trainor"\ndataset = "d"\nfoo = 1\n')
    with pytest.raises(FedsegError, match=r"'role' = 'trainor'.*unknown key 'foo'"):
        load_node(tmp_path)
    (tmp_path / "node.toml").write_text(
        'name = "x"\nrole = "trainer"\ndataset = "d"\nroot = "data"\nserver = "h:1"\n'
    )
    loaded = load_node(tmp_path)
    assert (loaded.root, loaded.state) == (tmp_path / "data", tmp_path / "state")


def test_a_node_does_the_work_of_its_role_alone(task, tmp_path):
    """Whatever app is sent: these are the library's only ways to a node's data."""
    trainer, evaluator = node(root=tmp_path), node(role="evaluator", root=tmp_path)
    assert evaluator.evaluator().root == trainer.client(task).root == tmp_path
    with pytest.raises(PublicError, match="is an evaluator: it trains nothing"):
        evaluator.client(task)
    with pytest.raises(PublicError, match="is a trainer: it scores no global model"):
        trainer.evaluator()
    for other in (
        trainer,
        evaluator,
        node(role="evaluator", cross_site_evaluation=True),
    ):
        with pytest.raises(PublicError, match="takes no part in cross-site evaluation"):
            other.cross_site(Protocol())
    assert node(cross_site_evaluation=True, root=tmp_path).cross_site(Protocol()).root
