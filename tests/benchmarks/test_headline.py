"""The script of the headline; what it starts has tests of its own."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fedseg.config import load

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def headline(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import headline

    return headline


def test_every_root_of_the_example_is_replaced(headline, tmp_path):
    text = headline.federation(tmp_path / "worlds", tmp_path / "camvid", tmp_path / "idd")
    table = tomllib.loads(text)
    sources = [*table["clients"], table["server"], *table["evaluation"]]
    assert all(source["root"].startswith(str(tmp_path)) for source in sources)
    file = tmp_path / "federation.toml"
    file.write_text(text)
    federation = load(file)
    assert [client.root.name for client in federation.clients] == ["metro", "suburb", "europe"]
    assert [source.root.name for source in federation.evaluation] == ["camvid", "idd"]


def test_missing_data_is_named_before_anything_is_rendered(tmp_path):
    words = ["--camvid", tmp_path / "nowhere", "--idd-lite", tmp_path, "--out", tmp_path / "out"]
    command = [sys.executable, FOLDER / "headline.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "docs/benchmarks.md says how to get the data" in done.stderr
    assert not (tmp_path / "out").exists()
