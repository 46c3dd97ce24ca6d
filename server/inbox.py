"""Replies on their way from nodes: each is fetched piece by piece, whatever the others do.

A node announces its reply and then pushes it in pieces. Flower's grid waits for all pieces of a
reply before it looks at the next one, so a node that announces an upload and never sends it would
keep everybody waiting. Here pieces are fetched as they come, and kept on disk until the last.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flwr.app import Message
from flwr.serverapp import Grid

from fedseg.errors import FedsegError, explained
from fedseg.files import TEMPORARY
from fedseg.flower.internals import Interrupted, Reply, announced, sends_pieces

MOST_PIECES = 10_000
"""Pieces of a reply, which have 5 MB each at most."""
AT_ONCE = 4
"""Pieces that are fetched at the same time. If none of them has come, the next reply is
tried."""


class Lost(FedsegError):
    """A node stopped sending, or went away; it may be asked again."""


class Inbox:
    """Fetches replies.

    Args:
        grid: Flower's.
        folder: for pieces of replies that are not complete.
    """

    def __init__(self, grid: Grid, folder: Path) -> None:
        self._grid = grid
        self._folder = folder
        self._coming: dict[str, _Delivery] = {}  # by the id of the message that is replied to

    def collect(self, asked: Iterable[str]) -> Iterator[tuple[str, Message | FedsegError]]:
        """Look once for the replies to some messages.

        Args:
            asked: ids of the messages.

        Yields:
            The id of a message, and its reply now that it is complete, or why it can't be had.
        """
        asked = list(asked)
        if not sends_pieces(self._grid):
            for message in self._grid.pull_messages(asked):
                yield message.metadata.reply_to_message_id, message
            return
        if new := [i for i in asked if i not in self._coming]:
            for reply in announced(self._grid, new):
                self._coming[reply.request_id] = _Delivery(reply, self._folder)
        for message_id in asked:
            if (delivery := self._coming.get(message_id)) is None:
                continue
            outcome: Message | FedsegError | None
            try:
                outcome = delivery.go_on()
            except FedsegError as error:
                outcome = error
            except Exception as error:  # whatever one node sends
                outcome = FedsegError(f"its answer can't be taken in: {explained(error)}")
            if outcome is None:
                continue
            del self._coming[message_id]
            delivery.close()
            yield message_id, outcome

    def drop(self, asked: Iterable[str]) -> None:
        """Wait no longer for the replies to some messages."""
        for message_id in asked:
            if delivery := self._coming.pop(message_id, None):
                delivery.close()


class _Delivery:
    """One reply that was announced."""

    def __init__(self, reply: Reply, folder: Path) -> None:
        self._reply = reply
        self._missing = reply.pieces
        self._pieces = _Pieces(folder)

    def go_on(self) -> Message | None:
        """Fetch the pieces that are there; returns the reply once none is missing.

        Raises:
            Lost: its node stopped sending, and Flower dropped what it had sent.
            FedsegError: the pieces are no reply, or can't be kept.
        """
        if len(self._missing) > MOST_PIECES:
            raise FedsegError(f"its answer has more than {MOST_PIECES} pieces")
        while self._missing:
            batch, rest = self._missing[:AT_ONCE], self._missing[AT_ONCE:]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                has_come = list(pool.map(self._fetch, batch))
            late = [piece for piece, came in zip(batch, has_come, strict=True) if not came]
            self._missing = rest + late
            if len(late) == len(batch):
                return None
        message = self._reply.assemble(self._pieces)
        if message is None:
            raise FedsegError("its answer is no message")
        return message

    def _fetch(self, piece: str) -> bool:
        """Fetch a piece; returns whether it is there already."""
        try:
            content = self._reply.pull(piece)
            if content is None:
                return False
            self._pieces[piece] = content
        except Interrupted:
            raise Lost("its node stopped in the middle of its answer") from None
        except OSError as error:
            raise FedsegError(f"the server can't keep its answer: {error.strerror}") from None
        return True

    def close(self) -> None:
        self._pieces.remove()


class _Pieces(MutableMapping[str, bytes]):
    """Contents of objects by their ids, in a folder."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: Path | None = None
        self._files: dict[str, Path] = {}
        self._lock = threading.Lock()

    def __setitem__(self, name: str, content: bytes) -> None:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._parent))
            # Not called by its id, which somebody else chose.
            file = self._files[name] = self._folder / str(len(self._files))
        file.write_bytes(content)

    def __getitem__(self, name: str) -> bytes:
        return self._files[name].read_bytes()

    def __delitem__(self, name: str) -> None:
        self._files.pop(name).unlink()

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
