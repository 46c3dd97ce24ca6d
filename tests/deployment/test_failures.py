"""What breaks is mended, and what was done is not done again."""

import pytest

from fedseg.files import read_json
from fedseg.progress import read_all
from tests.processes import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_server_and_a_node_are_killed_and_the_run_goes_on(nodes, federation_content):
    """The server while it collects uploads, the node while it trains."""
    federation_content["clients"][1]["training"] = {"iterations": 100}
    del federation_content["evaluators"]
    out = nodes.home / "runs" / "broken"
    run = nodes.state / "runs" / "broken"
    first = run / "clients" / "one" / "client.json"
    running = nodes.submit(federation_content, out)
    wait_until(first.is_file, 500, lambda: nodes.log("one"))
    wait_until(lambda: _stage_of(nodes, "two") == "training", 500, lambda: nodes.log("two"))
    nodes.kill("two")
    nodes.kill("server")
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "nothing listens there" in errors
    assert {path.name for path in run.joinpath("clients").glob("[!.]*")} == {"one"}
    assert not (run / "result.json").exists()

    written = first.stat().st_mtime_ns
    nodes.start_server()
    nodes.start_node("two")
    again = nodes.submit(federation_content, out)
    _, errors = again.communicate(timeout=500)
    assert again.returncode == 0, errors + nodes.log("two")
    assert first.stat().st_mtime_ns == written
    result = read_json(out / "result.json")
    assert result["status"] == "completed"
    assert result["clients"]["two"]["iterations"] == 100


def _stage_of(nodes, name):
    return read_all(nodes.home / f"node-{name}" / "state" / "progress").get(name, {}).get("stage")
