"""What a node's owner allows, with real processes: a server that asks for more is told why."""

import pytest

from fedseg.storage.audit import read_audit
from tests.deployment.test_failures import _completed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_node_that_refuses_a_training_is_named_and_the_run_goes_on(
    nodes, worlds, federation_content
):
    """Three steps on batches of two images, as the owner's defaults do not allow."""
    folder = nodes.make_node("strict", "trainer", worlds["one"], minima="")
    nodes.start_node("strict")
    federation_content["clients"].append({"name": "strict"})
    result = _completed(nodes, federation_content, "minima")
    clients = result["clients"]
    assert clients["strict"]["reason"] == (
        "iterations: 3 asked for, but the node trains with 50 at least "
        "(node.toml, minima.iterations)"
    )
    assert {name for name, c in clients.items() if c["status"] == "good"} == {"one", "two"}
    assert not list((folder / "state").glob("checkpoint-*"))


def test_what_nodes_keep_is_their_owners_alone(nodes):
    """Flower's files, progress and logs too, of nodes that were started with a wider umask."""
    for name in ("one", "two", "city", "strict"):
        state = nodes.home / f"node-{name}" / "state"
        paths = [state, *state.rglob("*")]
        assert len(paths) > 5
        for path in paths:
            if not path.is_symlink():
                expected = 0o700 if path.is_dir() else 0o600
                assert path.stat().st_mode & 0o777 == expected, path
    assert list(read_audit(nodes.home / "node-city" / "state" / "audit.jsonl"))
