import numpy as np
import pytest
from PIL import Image

from fedseg.config import Model, Training
from fedseg.errors import FedsegError
from fedseg.evaluation.predict import find_sequences, overlay, predict_frames, predict_video
from fedseg.evaluation.video import Video, writing
from fedseg.models import checkpoints
from fedseg.models.build import seeded_build
from tests.conftest import TINY_MODEL


@pytest.fixture
def model():
    model = Model(**TINY_MODEL)
    return seeded_build(model, 0).eval(), checkpoints.describe(model, Training(crop=(32, 64)))


@pytest.fixture
def drive(tmp_path):
    """A video of 12 frames that grow brighter, 6 a second."""
    path = tmp_path / "drive.mp4"
    with writing(path, rate=6.0) as video:
        for index in range(12):
            video.write(np.full((48, 80, 3), 20 * index, np.uint8))
    return path


def test_files_are_of_the_inputs_size_and_agree(model, make_world, tmp_path):
    folder = make_world("world") / "images"
    [sequence] = find_sequences([folder])
    predict_frames(*model, sequence, tmp_path / "out", lambda *_: None)
    for path in folder.iterdir():
        label = Image.open(tmp_path / "out" / f"{path.stem}_trainId.png")
        drawn = Image.open(tmp_path / "out" / f"{path.stem}_overlay.jpg")
        assert label.size == drawn.size == (80, 48)
        assert label.mode == "L"
        assert np.asarray(label).max() < 19


def test_a_video_gives_a_video_of_the_same_length_and_rate(model, drive, tmp_path):
    notify = []
    [sequence] = find_sequences([drive])
    predict_video(*model, sequence, tmp_path / "out", 10.0, lambda *n: notify.append(n))
    made = Video(tmp_path / "out" / "drive_overlay.mp4")
    assert (made.frames, made.rate) == (12, 6.0)
    assert notify[-1] == (12, 12)
    frames = [frame.mean() for frame in made]
    # Half of each overlay is the picture, which is 20 grey levels brighter from one to the next.
    assert frames[-1] - frames[0] > 80


def test_a_video_gives_frames_on_request_and_frames_a_video(model, drive, make_world, tmp_path):
    [sequence] = find_sequences([drive])
    predict_frames(*model, sequence, tmp_path / "out", lambda *_: None)
    assert len(list((tmp_path / "out").glob("drive_0000*_trainId.png"))) == 12
    [sequence] = find_sequences([make_world("frames") / "images"])
    predict_video(*model, sequence, tmp_path / "out", 10.0, lambda *_: None)
    assert Video(tmp_path / "out" / "images_overlay.mp4").frames == 4


def test_frames_of_different_sizes_make_no_video_and_leave_none(model, tmp_path):
    for index, width in enumerate((64, 96)):
        (tmp_path / "odd").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((32, width, 3), np.uint8)).save(tmp_path / "odd" / f"{index}.png")
    [sequence] = find_sequences([tmp_path / "odd"])
    with pytest.raises(FedsegError, match="frames differ in size"):
        predict_video(*model, sequence, tmp_path / "out", 10.0, lambda *_: None)
    assert list((tmp_path / "out").iterdir()) == []


def test_overlay_is_half_picture_half_colour():
    image = np.full((1, 1, 3), 100, np.uint8)
    assert overlay(image, np.zeros((1, 1), np.uint8))[0, 0].tolist() == [114, 82, 114]


def test_inputs_that_make_no_sense(make_world, tmp_path):
    with pytest.raises(FedsegError, match="no such file or folder"):
        find_sequences([tmp_path / "nowhere"])
    with pytest.raises(FedsegError, match="no image in this folder"):
        find_sequences([tmp_path])
    one, two = make_world("one"), make_world("two")
    with pytest.raises(FedsegError, match="would both be written as 0_"):
        find_sequences([one / "images", two / "images"])
    (tmp_path / "torn.mp4").write_bytes(b"not a video")
    with pytest.raises(FedsegError, match=r"torn\.mp4: not a readable video"):
        find_sequences([tmp_path / "torn.mp4"])
