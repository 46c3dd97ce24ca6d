"""Videos as sequences of frames: read by OpenCV, written by PyAV."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from fedseg.errors import FedsegError, first_line
from fedseg.files import atomic_file

SUFFIXES = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"}
USUAL_RATE = 25.0
"""Frames a second of a video that does not say."""
MOST_TICKS = 65535
"""Largest denominator of MPEG-4 part 2's time base (ISO/IEC 14496-2, vop_time_increment)."""
SLOWEST = 0.01
"""Frames a second that can be written at least."""


class Video:
    """A video file: MP4 or QuickTime, AVI, Matroska or WebM, by content.

    Raises:
        FedsegError: it is none of these, or can't be decoded.
    """

    def __init__(self, path: Path) -> None:
        # Relative, a name with a colon would be taken for a protocol, such as "http:".
        self.path = path.absolute()
        if not path.is_file() or not _is_container(path):
            raise FedsegError(f"{path}: not a readable video (MP4, MOV, AVI, MKV or WebM)")
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise FedsegError(f"{path}: not a readable video")
            self.rate = _usable_rate(capture.get(cv2.CAP_PROP_FPS))
            """Frames a second."""
            self.frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
            """Number of frames, as the file's header has it."""
        finally:
            capture.release()

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames in order, uint8 [H, W, 3], RGB.

        Raises:
            FedsegError: there is none that can be decoded.
        """
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        read = 0
        try:
            while True:
                good, frame = capture.read()
                if not good and not read:
                    raise FedsegError(f"{self.path}: holds no frame that can be decoded")
                if not good:
                    return
                read += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()


def _is_container(path: Path) -> bool:
    """Whether a file begins like a video. A playlist would have FFmpeg open other files."""
    with path.open("rb") as file:
        head = file.read(12)
    is_mp4 = head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return is_mp4 or is_avi or head[:4] == b"\x1aE\xdf\xa3"  # EBML: Matroska, WebM


def _usable_rate(rate: float) -> float:
    """A rate that can be written: of so few digits that its fraction fits MPEG-4's time base."""
    if not math.isfinite(rate) or rate <= 0:
        return USUAL_RATE
    rate = min(max(rate, SLOWEST), MOST_TICKS)
    return round(rate, min(int(math.log10(MOST_TICKS / rate)), 3))


class Writer:
    """Writes frames of one size to an MP4 file (H.264, which browsers play).

    Its sides are even: an odd one gets a row or column more, a copy of the last.
    """

    def __init__(self, path: Path, rate: float) -> None:
        # By its absolute path, a name with a colon is not taken for a protocol.
        options = {"movflags": "faststart"}
        self._container = av.open(str(path.absolute()), "w", format="mp4", options=options)
        self._rate = Fraction(_usable_rate(rate)).limit_denominator(MOST_TICKS)
        self._stream: av.VideoStream | None = None
        self._size: tuple[int, int] | None = None

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 [H, W, 3], RGB.

        Raises:
            FedsegError: it is of another size than the first, or can't be encoded.
        """
        size = (frame.shape[1], frame.shape[0])
        if self._size and size != self._size:
            raise FedsegError(
                f"frames differ in size ({self._size[0]}x{self._size[1]} and {size[0]}x{size[1]}), "
                "so they make no video"
            )
        bottom, right = size[1] % 2, size[0] % 2
        if bottom or right:
            frame = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        try:
            if self._stream is None:
                self._stream = self._open(frame.shape[1], frame.shape[0])
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            raise FedsegError(
                f"a video of {size[0]}x{size[1]} pixels can't be written: {first_line(error)}"
            ) from None
        self._size = size

    def _open(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        return stream

    def close(self) -> None:
        """End the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


@contextmanager
def writing(path: Path, rate: float) -> Iterator[Writer]:
    """A video that is there, whole, when the block ends without an error, and else is not."""
    with atomic_file(path) as temporary:
        writer = Writer(temporary, rate)
        try:
            yield writer
        finally:
            writer.close()
