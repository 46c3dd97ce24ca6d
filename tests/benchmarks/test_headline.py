"""The headline's script; what it starts has tests of its own."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks import headline
from fedseg.config import load
from fedseg.errors import FedsegError


def test_every_root_of_the_example_is_replaced(tmp_path):
    text = headline.federation(tmp_path / "worlds", tmp_path / "camvid", tmp_path / "idd")
    table = tomllib.loads(text)
    sources = [*table["clients"], table["server"], *table["evaluation"]]
    assert all(source["root"].startswith(str(tmp_path)) for source in sources)
    file = tmp_path / "federation.toml"
    file.write_text(text)
    federation = load(file)
    assert [client.root.name for client in federation.clients] == ["metro", "suburb", "europe"]
    assert [source.root.name for source in federation.evaluation] == ["camvid", "idd"]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """What is run, in order."""
    found = []
    (tmp_path / "real").mkdir()
    monkeypatch.setattr(headline, "render", lambda *given: found.append(("render", given)))
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda words, check: (found.append(words), subprocess.CompletedProcess(words, 0))[1],
    )
    return found


def test_from_rendering_to_the_table(tmp_path, commands):
    real, out = tmp_path / "real", tmp_path / "out"
    headline.headline(real, real, out, [0, 5], 20, 2)
    (_, given), *started = commands
    assert given == (["metro", "suburb", "europe"], out / "worlds", 20, 0, 2)
    assert all(words[:3] == [sys.executable, "-m", "fedseg"] for words in started)
    assert [words[3] for words in started] == ["check", "simulate", "simulate", "compare"]
    assert started[2][-4:] == ["--seed", "5", "--out", str(out / "seed5")]
    assert started[3][4:6] == [str(out / "seed0"), str(out / "seed5")]


def test_missing_data_is_said_before_anything_is_rendered(tmp_path, commands):
    with pytest.raises(FedsegError, match=r"docs/benchmarks\.md says how to get the data"):
        headline.headline(tmp_path / "nowhere", tmp_path, tmp_path / "out")
    assert commands == []


def test_a_command_that_fails_ends_it(tmp_path, commands, monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda words, check: subprocess.CompletedProcess(words, 2)
    )
    with pytest.raises(SystemExit, match="2"):
        headline.headline(tmp_path / "real", Path(tmp_path / "real"), tmp_path / "out", [0], 1, 1)
