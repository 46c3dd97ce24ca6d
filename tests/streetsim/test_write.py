"""Pictures and labels as files."""

import cv2
import numpy as np
import pytest

from fedseg.streetsim import render, write

SIZE = (48, 64)


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_hold_what_is_rendered(tmp_path):
    write(tmp_path, "suburb", 2, seed=3, size=SIZE, workers=1)
    image, label = render("suburb", 3, 1, SIZE)
    stored = cv2.imread(str(tmp_path / "images/suburb/00001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), image)
    answer = cv2.imread(str(tmp_path / "labels/suburb/00001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(answer, label)


def test_bytes_do_not_depend_on_workers(tmp_path):
    for workers in (1, 2):
        write(tmp_path / str(workers), "oldtown", 5, size=SIZE, workers=workers)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert len(one) == 10
    assert one == two


def test_resumes(tmp_path):
    write(tmp_path, "boulevard", 3, size=SIZE, workers=1)
    before = contents(tmp_path)
    kept = tmp_path / "images/boulevard/00000.png"
    kept.write_bytes(b"mine")
    (tmp_path / "images/boulevard/00001.png").unlink()
    (tmp_path / "labels/boulevard/00002.png").unlink()
    seen = []
    write(tmp_path, "boulevard", 4, size=SIZE, workers=1, on_image=seen.append)
    assert sorted(seen) == [0, 1, 2, 3]
    after = contents(tmp_path)
    assert kept.read_bytes() == b"mine"
    assert len(after) == 8
    kept_name = kept.relative_to(tmp_path)
    assert all(after[name] == before[name] for name in before if name != kept_name)


def test_unknown_style_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="suburb"):
        write(tmp_path, "moon", 1)
    assert not contents(tmp_path)
