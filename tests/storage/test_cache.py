import json

import pytest

from fedseg.storage.cache import cache_parts, clear_cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path))
    for name, size in (("surveys/a.npz", 10), ("surveys/deep/b.npz", 5), ("runs/1/x", 7)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"0" * size)
    return tmp_path


def test_what_the_cache_holds(cache):
    assert [(p.path.name, p.files, p.bytes) for p in cache_parts()] == [
        ("runs", 1, 7),
        ("surveys", 2, 15),
    ]


def test_clearing_leaves_results(cache):
    assert [part.path.name for part in clear_cache()] == ["surveys"]
    assert not (cache / "surveys").exists()
    assert (cache / "runs" / "1" / "x").is_file()


def test_the_command(cache, run_cli):
    assert "surveys" in run_cli("data", "cache").out
    [removed] = json.loads(run_cli("data", "cache", "--clear", "--json").out)
    assert (removed["files"], removed["bytes"]) == (2, 15)


def test_no_cache_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path / "none"))
    assert cache_parts() == clear_cache() == []
