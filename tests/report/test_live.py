import http.client
import threading

import pytest

from fedseg.errors import FedsegError
from fedseg.report.live import make_server, page
from fedseg.run.folder import Run
from fedseg.run.progress import FileProgress


@pytest.fixture
def serving(run):
    """A run that goes on, and a function that asks for its page."""
    FileProgress(run.progress, "one")("training", 3, 9, loss=0.5)
    FileProgress(run.progress, "<two>")("waiting", 0, 1)
    server = make_server(run.path, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def get(path="/", host="localhost"):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request("GET", path, headers={"Host": f"{host}:{server.server_port}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    yield run, get
    server.shutdown()
    server.server_close()


def test_progress_at_first_and_the_report_in_the_end(serving):
    run, get = serving
    status, shown = get()
    assert status == 200
    assert "training" in shown
    assert "3 of 9" in shown
    assert "0.500" in shown
    assert "&lt;two&gt;" in shown
    assert "<two>" not in shown
    assert 'http-equiv="refresh"' in shown
    run.report.write_text("<p>the report</p>")
    run.result.write_text("{}")
    assert get() == (200, "<p>the report</p>")


def test_nothing_else_is_served_and_no_other_name_is_answered(serving):
    _, get = serving
    assert get("/config.toml")[0] == 404
    assert get("/../config.toml")[0] == 404
    assert get(host="evil.example")[0] == 404


def test_no_run(tmp_path):
    with pytest.raises(FedsegError, match="no run folder"):
        make_server(tmp_path / "none")


def test_a_port_in_use_is_replaced_by_a_free_one(run):
    with make_server(run.path, 0) as one, make_server(run.path, one.server_port) as other:
        assert other.server_port not in (0, one.server_port)


def test_before_anybody_has_reported(run):
    for path in run.progress.glob("*"):
        path.unlink()
    assert "Nobody has reported yet" in page(Run(run.path))
