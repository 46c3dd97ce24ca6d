import cv2
import numpy as np
import pytest

from fedseg.files import DamagedFile
from fedseg.storage.arrays import is_whole, read_array, read_largest, write_array, write_planes


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


def test_planes_are_read_as_they_were_and_take_less_space(tmp_path):
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.random((6, 8, 19)).astype(np.float32), (64, 48)) * 255
    array = np.where(smooth > 128, smooth, 0).astype(np.uint8)
    folder = tmp_path / "folder"
    write_array(folder / "1.npz", array)
    write_planes(folder / "2.npz", array)
    found = read_array(folder / "2.npz")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.flags.c_contiguous
    assert is_whole(folder / "2.npz")
    np.testing.assert_array_equal(read_largest(folder / "2.npz"), array.argmax(axis=-1))
    sizes = [(folder / name).stat().st_size for name in ("1.npz", "2.npz")]
    assert sizes[1] < sizes[0] / 2
    (folder / "2.npz").write_bytes((folder / "2.npz").read_bytes()[:-100])
    assert not is_whole(folder / "2.npz")
    # As an earlier version wrote it, without which plane is largest.
    np.savez(folder / "2.npz", planes=np.moveaxis(array, -1, 0), name="folder/2.npz")
    assert not is_whole(folder / "2.npz")


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
