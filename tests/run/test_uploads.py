import pytest

from fedseg.files import DamagedFile, read_json, write_json
from fedseg.run.uploads import ACCEPTED, read_accepted, read_upload


def test_what_was_accepted_is_what_was_sent(run, tmp_path):
    [home] = (tmp_path / "one").glob("checkpoint-*")
    assert read_accepted(run.clients / "one") == read_upload(home)


def test_a_folder_without_an_upload(tmp_path):
    assert read_accepted(tmp_path) is None
    with pytest.raises(FileNotFoundError):
        read_upload(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"), [("images", 0), ("sha256", "abc"), ("name", "../x"), ("new", 1)]
)
def test_a_file_that_holds_something_else_is_named(run, key, value):
    path = run.clients / "one" / ACCEPTED
    write_json(path, read_json(path) | {key: value})
    with pytest.raises(DamagedFile, match=rf"client\.json.*{key}"):
        read_accepted(path.parent)
