import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fedseg.errors import FedsegError
from fedseg.files import (
    PRIVATE,
    DamagedFile,
    atomic_file,
    atomic_folder,
    fitting_name,
    holders_near,
    make_private,
    private_files,
    read_json,
    refuse_full_disk,
    remove_unfinished,
    write_bytes,
    write_text,
)
from fedseg.storage.audit import AuditLog

KILLED = """
import os, sys
from pathlib import Path
from fedseg.files import atomic_file, atomic_folder
folder = Path(sys.argv[1])
with atomic_folder(folder / "model") as model, atomic_file(folder / "score.json") as score:
    (model / "weights").write_text("half of")
    score.write_text("half of")
    os._exit(0)
"""


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path):
    for kept in (".DS_Store", ".gitignore", "score.json"):
        (tmp_path / kept).touch()
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True)
    assert len(list(tmp_path.iterdir())) == 5
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".DS_Store", ".gitignore", "score.json"}


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("a" * 251 + ".txt")
    write_text(path, "content")
    assert path.read_text() == "content"
    with atomic_folder(tmp_path / ("b" * 255)) as folder:
        (folder / "c").touch()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with atomic_file(path) as temporary:
            temporary.write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_folders_are_on_the_disk_before_they_take_their_name(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def replace(source, target):
        calls.append(("replace", str(target)))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_text(tmp_path / "a.txt", "content")
    assert [what for what, _ in calls] == ["fsync", "replace", "fsync"]
    assert calls[2] == ("fsync", str(tmp_path))
    calls.clear()
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").touch()
    assert [what for what, _ in calls] == ["fsync", "fsync", "replace", "fsync"]
    assert calls[0][1].endswith("/weights")


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff", b"[]", b"[" * 100_000])
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"a\.json: damaged \(.*\); remove it"):
        read_json(path)


def test_json_as_editors_on_windows_write_it(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_folder_near_a_wrong_path_is_named(tmp_path, monkeypatch):
    """Of a run like those of fedseg, whatever of it is given for the run or for a checkpoint."""
    for name in ("config.toml", "global/weights", "clients/one/weights", "clients/two/weights"):
        file = tmp_path / "runs" / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    for given, holder in {
        "runs/mine": "'runs/mine/global'",
        "runs": "'runs/mine/global'",
        "runs/mine/clients": "'runs/mine/clients/one' or 'runs/mine/clients/two'",
        "runs/mine/global/weights": "'runs/mine/global'",
        "runs/mine/config.toml": "'runs/mine/global'",
    }.items():
        assert holders_near(Path(given), "weights") == f"; did you mean {holder}?"
    for given in ("runs", "runs/mine/global", "runs/mine/clients/one", "runs/mine/config.toml"):
        assert holders_near(Path(given), "config.toml") == "; did you mean 'runs/mine'?"
        absolute = holders_near(tmp_path / given, "config.toml")
        assert absolute == f"; did you mean '{tmp_path}/runs/mine'?"
    monkeypatch.chdir(tmp_path / "runs" / "mine" / "global")
    assert holders_near(Path(), "config.toml") == "; did you mean '..'?"
    assert holders_near(tmp_path / "nowhere", "config.toml") == ""
    assert holders_near(tmp_path / "runs", "nothing") == ""


def test_names_that_are_too_long_are_shortened_and_stay_apart():
    assert fitting_name("a", "_x.png") == "a_x.png"
    stems = ["a" * 251, "a" * 250 + "b", "\u00e9" * 125, os.fsdecode(b"\xe9" * 251)]
    names = [fitting_name(stem, "_trainId.png") for stem in stems]
    assert len(set(names)) == 4
    assert all(len(os.fsencode(name)) <= 255 for name in names)
    assert all(name.endswith("_trainId.png") for name in names)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def umask(request):
    """The umask of this process, for the time of a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_and_folders_follow_the_umask(tmp_path, umask):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").open("w").close()
    usual_folder, usual_file = mode(tmp_path / "folder"), mode(tmp_path / "file")
    assert usual_file == 0o666 & ~umask
    weights = {"weight": torch.zeros(2)}
    with atomic_folder(tmp_path / "new" / "model") as folder:
        save_file(weights, folder / "model.safetensors")  # 0600 whatever the umask
        (folder / "inner").mkdir(mode=0o700)
        write_text(folder / "inner" / "a.txt", "content")
    with atomic_file(tmp_path / "state.safetensors") as temporary:
        save_file(weights, temporary)
    write_text(tmp_path / "new" / "b.txt", "content")
    AuditLog(tmp_path / "audit.jsonl").add("event")
    for path in tmp_path.rglob("*"):
        assert mode(path) == (usual_folder if path.is_dir() else usual_file), path


def test_secrets_are_private_while_written_and_after(tmp_path, umask):
    with atomic_file(tmp_path / "a.key", PRIVATE) as temporary:
        assert mode(temporary) == 0o600
    write_bytes(tmp_path / "b.key", b"secret", PRIVATE)
    write_bytes(tmp_path / "b.key", b"another", PRIVATE)
    assert mode(tmp_path / "a.key") == mode(tmp_path / "b.key") == 0o600


def test_a_private_folder_is_its_owners_alone_whatever_it_was(tmp_path, umask):
    old, outside = tmp_path / "state", tmp_path / "outside.txt"
    (old / "inner").mkdir(parents=True)
    write_text(outside, "content")
    for path in (old / "a.json", old / "inner" / "b.json"):
        write_text(path, "content")
        path.chmod(0o666)
    old.chmod(0o777)
    (old / "link").symlink_to(outside)
    (old / "loop").symlink_to(old)
    (tmp_path / "linked").symlink_to(old)
    usual = mode(outside)
    (old / "kept").touch(0o400)
    for folder in (tmp_path / "linked", tmp_path / "new" / "state"):
        with private_files(folder):
            write_text(folder / "written.json", "content")
            (folder / "made").mkdir()
            with atomic_folder(folder / "model") as temporary:
                write_text(temporary / "weights", "content")
    assert mode(old) == mode(tmp_path / "new" / "state") == 0o700
    for path in (*old.rglob("*"), *(tmp_path / "new" / "state").rglob("*")):
        if not path.is_symlink():
            expected = 0o700 if path.is_dir() else 0o400 if path.name == "kept" else 0o600
            assert mode(path) == expected, path
    assert mode(outside) == usual  # what a link leads to is not ours
    write_text(tmp_path / "after.txt", "content")
    assert mode(tmp_path / "after.txt") == 0o666 & ~umask


def test_what_is_private_already_is_not_touched(tmp_path):
    """A change of the mode is one of the file, for whoever compares its times."""
    with private_files(tmp_path / "state"):
        write_text(tmp_path / "state" / "a.json", "content")
    before = (tmp_path / "state" / "a.json").stat().st_ctime_ns
    make_private(tmp_path / "state")
    assert (tmp_path / "state" / "a.json").stat().st_ctime_ns == before


def test_a_full_disk_is_named_in_place_of_a_librarys_words():
    refuse_full_disk(ValueError("no such revision"), "a model")
    words = RuntimeError("unexpected pos 64 vs 0: [Errno 28] No space left on device")
    with pytest.raises(FedsegError, match=r"a model: No space left on device; make room"):
        refuse_full_disk(words, "a model")
