import numpy as np
import pytest

from fedseg.files import DamagedFile
from fedseg.storage.arrays import is_whole, read_array, write_array


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.zeros((0, 19), np.int64),
        np.arange(12.0).reshape(3, 4).T,
    ],
)
def test_what_is_written_is_read(tmp_path, array):
    path = tmp_path / "folder" / "000001.npz"
    write_array(path, array)
    found = read_array(path)
    assert found.dtype == array.dtype
    assert (found == array).all()
    assert found.shape == array.shape
    # A moved run is a whole run.
    (tmp_path / "moved").mkdir()
    moved = path.parent.rename(tmp_path / "moved" / "folder") / path.name
    assert is_whole(moved)


def test_every_flipped_bit_of_the_content_is_noticed(tmp_path):
    path = tmp_path / "1.npz"
    array = np.arange(64, dtype=np.uint8)
    write_array(path, array)
    whole = path.read_bytes()
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 16]) + whole[index + 1 :])
        try:
            found = read_array(path)
        except DamagedFile:
            continue
        else:  # a byte of the archive that holds nothing of the array, as a time of change
            assert (found == array).all()
            assert found.dtype == array.dtype


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"no archive", bytes(1000)])
def test_no_array(tmp_path, content):
    path = tmp_path / "1.npz"
    assert not is_whole(path)
    path.write_bytes(content)
    assert not is_whole(path)
    with pytest.raises(DamagedFile, match=r"1\.npz: damaged"):
        read_array(path)


def test_pickles_are_not_read(tmp_path):
    np.savez(tmp_path / "1.npz", array=np.array([{}], object), name="x")
    with pytest.raises(DamagedFile):
        read_array(tmp_path / "1.npz")


def test_another_files_array_is_noticed(tmp_path):
    write_array(tmp_path / "1.npz", np.zeros(3))
    write_array(tmp_path / "2.npz", np.ones(3))
    (tmp_path / "1.npz").replace(tmp_path / "2.npz")
    with pytest.raises(DamagedFile, match="was written as"):
        read_array(tmp_path / "2.npz")
