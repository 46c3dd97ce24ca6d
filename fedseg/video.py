"""Videos as sequences of frames, by OpenCV."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from fedseg.errors import FedsegError
from fedseg.files import atomic_file

SUFFIXES = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"}


class Video:
    """A video file.

    Raises:
        FedsegError: it can't be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        capture = cv2.VideoCapture(str(path))
        try:
            if not capture.isOpened():
                raise FedsegError(f"{path}: not a readable video")
            self.rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
            """Frames a second."""
            self.frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
            """Number of frames, as the file's header has it."""
        finally:
            capture.release()

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames in order, uint8 [H, W, 3], RGB."""
        capture = cv2.VideoCapture(str(self.path))
        try:
            while True:
                good, frame = capture.read()
                if not good:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()


class Writer:
    """Writes frames of one size to an MP4 file (MPEG-4 part 2)."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path = path
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._size: tuple[int, int] | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 [H, W, 3], RGB.

        Raises:
            FedsegError: it is of another size than the first, or can't be encoded.
        """
        size = (frame.shape[1], frame.shape[0])
        if self._writer is None:
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), codec, self._rate, size)
            self._size = size
            if not self._writer.isOpened():
                raise FedsegError(f"a video of {size[0]}x{size[1]} pixels can't be written")
        if size != self._size:
            raise FedsegError(
                f"frames differ in size ({self._size[0]}x{self._size[1]} and {size[0]}x{size[1]}), "
                "so they make no video; write frames"
            )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def writing(path: Path, rate: float) -> Iterator[Writer]:
    """A video that is there, whole, when the block ends without an error, and else is not."""
    with atomic_file(path) as temporary:
        writer = Writer(temporary, rate)
        try:
            yield writer
        finally:
            writer.close()
