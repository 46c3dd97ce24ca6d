from dataclasses import dataclass, field

import pytest
import tomli_w

from fedseg import config
from fedseg.files import EMBEDDED, cache_dir
from fedseg.flower import context


@dataclass
class Settings:
    """What Flower gives a process of an app."""

    run_id: int = 7
    node_config: dict = field(default_factory=dict)
    run_config: dict = field(default_factory=dict)


@pytest.fixture
def simulated(federation_data, tmp_path):
    """The settings of node `place` of `nodes` in a simulation of two clients, one evaluator."""
    data = federation_data | {
        "evaluators": [{"name": "judge", "dataset": "folder", "root": str(tmp_path / "held-out")}]
    }
    (tmp_path / "federation.toml").write_text(tomli_w.dumps(data))
    run_config = {"federation": str(tmp_path / "federation.toml"), "out": str(tmp_path / "run")}

    def settings(place=0, nodes=1):
        return Settings(
            node_config={"partition-id": place, "num-partitions": nodes}, run_config=run_config
        )

    return settings


def names(nodes):
    return [node.name for node in nodes]


def test_every_participant_is_on_exactly_one_node(simulated):
    assert names(context.nodes_of(simulated())) == ["one", "two", "judge"]
    assert names(context.nodes_of(simulated(0, 2))) == ["one", "judge"]
    assert names(context.nodes_of(simulated(1, 2))) == ["two"]


def test_a_simulated_node_writes_into_the_run_folder(simulated, tmp_path):
    settings = simulated(1, 3)
    [node] = context.nodes_of(settings)
    assert node.server is None
    context.progress_of(settings, node)("training", 1, 2)
    assert (context.run_of(settings).progress / "two.json").is_file()
    assert tmp_path / "run" in context.places_of(settings, node).curve.parents


def test_a_deployed_node_reads_and_writes_its_own_folder_only(tmp_path):
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "node.toml").write_text(
        'name = "ann"\nrole = "trainer"\ndataset = "folder"\nroot = "data"\nstate = "state"\n'
        'server = "host:9092"\n'
    )
    # The run's settings come from the server: a deployed node must not follow its paths.
    settings = Settings(
        node_config={"fedseg": str(folder)},
        run_config={"federation": "/nowhere.toml", "out": str(tmp_path / "elsewhere")},
    )
    [node] = context.nodes_of(settings)
    assert (node.name, node.root) == ("ann", folder / "data")
    context.progress_of(settings, node)("training", 1, 2)
    assert (folder / "state" / "progress" / "ann.json").is_file()
    curve, tracking, run = context.places_of(settings, node)
    assert curve == folder / "state" / "curve.json"
    assert tracking == folder / "state" / "tracking" / "7"  # each run's files begin anew
    assert run == "7"
    assert not (tmp_path / "elsewhere").exists()


def test_without_settings_it_is_the_embedded_federation_in_the_cache():
    assert context.federation_of(Settings()) == config.load(EMBEDDED)
    assert context.run_of(Settings()).path == cache_dir() / "runs" / "7"


def test_the_names_under_which_progress_is_reported(simulated):
    federation = context.federation_of(simulated())
    assert context.workers(federation) == ["one", "two", "judge", "server"]
