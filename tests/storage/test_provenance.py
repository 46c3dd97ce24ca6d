import json

import pytest

from fedseg.files import DamagedFile, read_json, write_json
from fedseg.storage import provenance
from fedseg.storage.provenance import (
    is_product,
    open_product,
    read_product,
    seal,
    verify,
    write_product,
)

INPUTS = {"labels": "abc", "sizes": (1, 2)}


def test_a_product_is_read_again_with_the_same_inputs_only(tmp_path, caplog):
    path = tmp_path / "score.json"
    assert read_product(path, INPUTS) is None
    assert caplog.messages == []  # there is nothing to report: it was never made
    write_product(path, {"miou": 0.5}, INPUTS)
    assert read_product(path, INPUTS) == {"miou": 0.5}
    assert open_product(path) == ({"miou": 0.5}, {"labels": "abc", "sizes": [1, 2]})
    for other in ({**INPUTS, "labels": "abd"}, {"sizes": (1, 2)}, {**INPUTS, "new": None}):
        assert read_product(path, other) is None
    assert "its labels changed; making it again" in caplog.messages[0]
    assert str(path) in caplog.messages[0]


@pytest.mark.parametrize("index", range(0, 150, 7))
def test_one_flipped_bit_anywhere_is_noticed(tmp_path, index):
    path = tmp_path / "score.json"
    write_product(path, {"miou": 0.5, "names": ["a", "b"]}, INPUTS)
    content = bytearray(path.read_bytes())
    content[index % len(content)] ^= 1
    path.write_bytes(content)
    kept = read_product(path, INPUTS)
    # JSON has bytes that mean nothing: white space, which may become other white space.
    assert kept is None or kept == {"miou": 0.5, "names": ["a", "b"]}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"made_from": 3}'],
)
def test_what_is_no_product_is_made_again_and_named(tmp_path, caplog, content):
    path = tmp_path / "score.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"score\.json: damaged"):
        open_product(path)
    assert read_product(path, INPUTS) is None
    assert "score.json" in caplog.messages[0]


def make_folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"weights")
    write_json(folder / "info.json", {"crop": 3})
    seal(folder, INPUTS)
    return folder


def test_a_sealed_folder_is_whole_until_a_file_changes(tmp_path, caplog):
    folder = make_folder(tmp_path)
    verify(folder)
    assert is_product(folder, INPUTS)
    assert not is_product(folder, {**INPUTS, "labels": "other"})
    seal(folder, INPUTS)  # what is sealed twice is whole too
    assert is_product(folder, INPUTS)
    (folder / "notes.txt").write_text("somebody else's")
    assert is_product(folder, INPUTS)
    (folder / "weights").write_bytes(b"weightz")
    with pytest.raises(DamagedFile, match="weights: is not the file that was written"):
        verify(folder)
    assert not is_product(folder, INPUTS)
    (folder / "weights").unlink()
    with pytest.raises(DamagedFile, match="weights: missing"):
        verify(folder)
    assert not is_product(tmp_path / "nowhere", INPUTS)


@pytest.mark.parametrize(
    "files", [None, [], {"../x": "00"}, {"a/b": "00"}, {"a\0b": "00"}, {"weights": 3}]
)
def test_a_hostile_record_names_no_file_elsewhere(tmp_path, files):
    folder = make_folder(tmp_path)
    (tmp_path / "x").write_text("not of this folder")
    write_product(folder / provenance.RECORD, {"files": files}, INPUTS)
    with pytest.raises(DamagedFile):
        verify(folder)


def test_the_record_tells_people_what_it_was_made_from(tmp_path):
    write_product(tmp_path / "score.json", {"miou": 0.5}, INPUTS)
    content = json.loads((tmp_path / "score.json").read_text())
    assert content["made_from"] == {"labels": "abc", "sizes": [1, 2]}
    assert read_json(tmp_path / "score.json")["miou"] == 0.5
