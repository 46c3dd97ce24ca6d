import hashlib
import os
import time

import pytest
import torch

from fedseg.errors import FedsegError
from fedseg.storage import hashes
from fedseg.storage.hashes import content_hash, file_hashes


@pytest.fixture
def files(tmp_path):
    """Three files in two folders, long settled."""
    paths = [tmp_path / "a" / "1.png", tmp_path / "a" / "2.png", tmp_path / "b" / "1.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * 1000)
    return paths


def expected(paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest()[:32] for path in paths]


@pytest.fixture
def read(monkeypatch):
    """Names of the files whose content was read."""
    names = []
    real = hashes.file_sha256

    def counting(path):
        names.append(f"{path.parent.name}/{path.name}")
        return real(path)

    monkeypatch.setattr(hashes, "file_sha256", counting)
    return names


def test_a_file_is_read_again_only_if_it_changed(files, read, monkeypatch):
    monkeypatch.setattr(hashes, "SETTLED", 0)
    assert file_hashes(files) == expected(files)
    assert sorted(read) == ["a/1.png", "a/2.png", "b/1.png"]
    read.clear()
    assert file_hashes(files[::-1]) == expected(files[::-1])
    assert read == []
    # The same size and the same times: the change of the inode tells.
    before = files[0].stat()
    files[0].write_bytes(b"x" * 1000)
    os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(files[1], files[2])
    assert file_hashes([files[0], files[2]]) == expected([files[0], files[2]])
    assert sorted(read) == ["a/1.png", "b/1.png"]


def test_a_file_that_has_just_changed_is_not_remembered(files, read):
    """Its times may stay the same when it is changed again at once."""
    assert time.time() - files[0].stat().st_ctime < 2
    file_hashes(files[:1])
    file_hashes(files[:1])
    assert read == ["a/1.png", "a/1.png"]


def test_a_damaged_memory_is_made_again(files, read, monkeypatch):
    monkeypatch.setattr(hashes, "SETTLED", 0)
    file_hashes(files)
    for memory in (hashes.cache_dir() / "hashes").iterdir():
        memory.write_bytes(memory.read_bytes()[:-10])
    read.clear()
    assert file_hashes(files) == expected(files)
    assert len(read) == 3


def test_without_a_cache_files_are_read_each_time(files, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEDSEG_CACHE", str(tmp_path / "file"))  # no folder can be made below it
    monkeypatch.setattr(hashes, "SETTLED", 0)
    assert file_hashes(files) == expected(files)


def test_a_missing_file_is_named(files):
    files[1].unlink()
    files[1].symlink_to("/nowhere")
    with pytest.raises(FedsegError, match=r"2\.png: can't be read \(No such file"):
        file_hashes(files)


def test_content_hash_knows_names_and_values():
    weights = {"a": torch.arange(3.0), "b": torch.tensor(5)}
    assert content_hash(weights) == content_hash(dict(reversed(weights.items())))
    assert content_hash(weights) != content_hash({**weights, "b": torch.tensor(6)})
    assert content_hash(weights) != content_hash({"a": weights["a"], "c": weights["b"]})
