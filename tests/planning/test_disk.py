from types import SimpleNamespace

import pytest

from fedseg.errors import FedsegError
from fedseg.planning import disk
from fedseg.workflows.simulation import simulate


def full(monkeypatch, free):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def test_a_run_that_does_not_fit_is_not_begun(federation, tmp_path, monkeypatch):
    full(monkeypatch, sum(disk.written_bytes(federation)) - 1)
    with pytest.raises(FedsegError, match=r"will be written below .* make room"):
        simulate(federation, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_is_there_need_not_be_written_again(run, federation, monkeypatch):
    uploads = disk.written_bytes(federation).uploads
    rest = sum(disk.written_bytes(federation)) - uploads
    full(monkeypatch, rest + uploads // 10)  # a file has a header too
    disk.check_room(federation, run.path)
    with pytest.raises(FedsegError, match="disk: "):
        disk.check_room(federation, run.path.parent / "new")
