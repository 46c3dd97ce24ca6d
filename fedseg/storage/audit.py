"""Append-only logs of what was asked, sent, accepted and refused: JSON lines in a hash chain.

Each line holds the SHA-256 of the line before it, so a line that was changed, inserted or removed
in between is found. The chain doesn't show that lines were cut off at the end, nor that the whole
file was written anew: for that, note the last line's hash somewhere else.

No line is longer than `LONGEST_LINE`, whatever somebody else put into it, and readers hold no more.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fedseg.errors import FedsegError
from fedseg.files import SHARED, holders_near

AUDIT = "audit.jsonl"
FIRST = "0" * 64
"""What the first line holds for the hash of the line before it."""
LONGEST_LINE = 2**18
"""Bytes of a line, its end included."""
ROOM = 2**10
"""Bytes of a line that are kept for its time, its event and its hashes."""
BLOCK = 2**16
"""Bytes that are read at once to find the last line."""


class AuditLog:
    """A log that several processes may add to.

    Args:
        path: of the file; made where it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **details: Any) -> str:
        """Append a line, and wait until it is on the disk.

        Args:
            event: what happened.
            details: JSON values. Where they make too long a line, the largest are replaced by their
                size and hash.

        Returns:
            The line's hash, in hexadecimal.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, SHARED)
        with os.fdopen(handle, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given up when the file is closed
            end, previous = _last(file.fileno())
            entry = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "event": event,
                **_bounded(details),
                "previous": previous,
            }
            entry["hash"] = _hash(entry)
            file.truncate(end)  # a line that a killed process left half-written
            file.seek(end)
            file.write(_encoded(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return entry["hash"]


def last_hash(path: Path) -> str | None:
    """The hash of a log's last line, which is not verified; None where there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        _, found = _last(file.fileno())
    return None if found == FIRST else found


def read_audit(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log, each checked against the line before it.

    Raises:
        FedsegError: there is no such file, or a line is not the one that was written.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise FedsegError(f"{path}: {error.strerror}{holders_near(path.parent, AUDIT)}") from None
    previous = FIRST
    with file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), 1):
            if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                return  # it was never acknowledged; the next one replaces it
            try:
                entry = json.loads(line)
                stated = entry.pop("hash")
                is_good = entry["previous"] == previous and _hash(entry) == stated
            except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
                is_good = False
            if not is_good:
                raise FedsegError(
                    f"{path}: line {number} is not the one that was written after line "
                    f"{number - 1}; this line, or one before it, was changed or removed"
                )
            previous = stated
            yield entry | {"hash": stated}


def _last(file: int) -> tuple[int, str]:
    """Where the last whole line ends, and its hash."""
    end = _line_start(file, os.fstat(file).st_size)
    if end == 0:
        return 0, FIRST
    start = _line_start(file, end - 1)
    line = os.pread(file, min(end - 1 - start, LONGEST_LINE), start)
    try:
        return end, str(json.loads(line)["hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return end, hashlib.sha256(line).hexdigest()  # verifying will find it


def _line_start(file: int, end: int) -> int:
    """Where the line begins that holds the byte before `end`."""
    while end > 0:
        start = max(end - BLOCK, 0)
        if (newline := os.pread(file, end - start, start).rfind(b"\n")) >= 0:
            return start + newline + 1
        end = start
    return 0


def _bounded(details: dict[str, Any]) -> dict[str, Any]:
    """Details that fit into a line, together with what stands beside them."""
    sizes = {key: len(_encoded(value)) for key, value in details.items()}
    excess = len(_encoded(details)) - (LONGEST_LINE - ROOM)
    bounded = dict(details)
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        if excess <= 0:
            break
        bounded[key] = {"bytes": sizes[key], "sha256": _hash(details[key])}
        excess -= sizes[key] - len(_encoded(bounded[key]))
    return bounded


def _encoded(value: Any) -> bytes:
    """JSON; half of a surrogate pair, which UTF-8 lacks, as an escape."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


def _hash(entry: Any) -> str:
    """SHA-256 of a JSON value, in hexadecimal."""
    canonical = json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()
