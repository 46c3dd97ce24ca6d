import math
import os

import cv2
import numpy as np
import pytest

from fedseg.errors import FedsegError
from fedseg.evaluation.video import Video, write_video


def make(path, rate=10.0, frames=20, size=(48, 64)):
    with write_video(path, rate) as video:
        for index in range(frames):
            video.write(np.full((*size, 3), 12 * index % 256, np.uint8))
    return path


@pytest.mark.parametrize(
    "rate",
    [66.667, 211.222, 24000 / 1001, 30000 / 1001, 59.94005994, 119.88, 240, 999.999, 0.1, 5000.5],
)
def test_every_rate_is_kept_to_within_a_frame(tmp_path, rate):
    made = Video(make(tmp_path / "a.mp4", rate))
    assert made.frames == len(list(made)) == 20
    assert abs(20 / made.rate - 20 / rate) < 1 / rate
    assert made.rate == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("rate", [0, -5, math.nan, math.inf])
def test_no_rate_is_the_usual_one(tmp_path, rate):
    assert Video(make(tmp_path / "a.mp4", rate)).rate == 25


@pytest.mark.parametrize(("rate", "written"), [(1e9, 65535), (1e-9, 0.01)])
def test_rates_beyond_what_can_be_written(tmp_path, rate, written):
    assert Video(make(tmp_path / "a.mp4", rate)).rate == written


@pytest.mark.parametrize(
    "name",
    ["a:b", "http:x", "concat:y", "data:z", "file:f", "a%03d", "x[1]", "\u00e9", "-i", "a b"],
)
def test_names_that_look_like_something_else(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "plain.mp4").rename(f"{name}.mp4")
    assert len(list(Video(path))) == 20
    (tmp_path / name).mkdir()
    written = make(type(path)(f"{name}/{name}.mp4"))
    assert len(list(Video(written))) == 20


@pytest.mark.parametrize("size", [(49, 65), (48, 65), (49, 64), (5, 7)])
def test_odd_sizes_lose_nothing(tmp_path, size):
    corner = np.zeros((*size, 3), np.uint8)
    corner[-4:, -4:] = 255
    with write_video(tmp_path / "a.mp4", 10) as video:
        for _ in range(3):
            video.write(corner)
    [frame, *_] = Video(tmp_path / "a.mp4")
    assert frame.shape[:2] == tuple(side + side % 2 for side in size)
    assert frame[size[0] - 1, size[1] - 1].mean() > 150


def make_playlist(path):
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


def make_stream(path):
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n")


def make_empty(path):
    path.touch()


def make_pipe(path):
    os.mkfifo(path)


def make_image(path):
    path.write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())


@pytest.mark.parametrize("made", [make_playlist, make_stream, make_empty, make_pipe, make_image])
@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_what_is_no_video_opens_nothing_else(tmp_path, made, suffix):
    make(tmp_path / "other.mp4")
    path = tmp_path / f"a{suffix}"
    made(path)
    with pytest.raises(FedsegError, match=f"a{suffix}: not a readable video"):
        list(Video(path))


def test_a_video_that_was_cut_off(tmp_path):
    whole = make(tmp_path / "a.avi.mp4", frames=50).read_bytes()
    path = tmp_path / "b.mp4"
    path.write_bytes(whole[: len(whole) // 2])  # an MP4's index stands at its end
    with pytest.raises(FedsegError, match=r"b\.mp4: "):
        list(Video(path))


def test_a_video_whose_frames_are_gone(tmp_path):
    path = make(tmp_path / "a.mp4", frames=3)
    content = path.read_bytes()
    start = content.index(b"mdat") + 4  # the last part
    path.write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(FedsegError, match=r"a\.mp4: holds no frame that can be decoded"):
        list(Video(path))
