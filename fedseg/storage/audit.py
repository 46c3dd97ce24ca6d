"""Append-only logs of what was asked, sent, accepted and refused: JSON lines in a hash chain.

Each line holds the SHA-256 of the line before it, so a line that was changed, inserted or removed
in between is found. The chain doesn't show that lines were cut off at the end, nor that the whole
file was written anew: for that, note the last line's hash somewhere else.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedseg.errors import FedsegError
from fedseg.files import SHARED, holders_near

AUDIT = "audit.jsonl"
FIRST = "0" * 64
"""What the first line holds for the hash of the line before it."""
LONGEST_LINE = 2**20


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
            details: JSON values.

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
                **details,
                "previous": previous,
            }
            entry["hash"] = _hash(entry)
            file.truncate(end)  # a line that a killed process left half-written
            file.seek(end)
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
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
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
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
    size = os.fstat(file).st_size
    start = max(size - LONGEST_LINE, 0)
    lines = os.pread(file, size - start, start).rpartition(b"\n")
    if not lines[1]:
        return start, FIRST
    whole = lines[0].rpartition(b"\n")[2]
    try:
        return size - len(lines[2]), str(json.loads(whole)["hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return size - len(lines[2]), hashlib.sha256(whole).hexdigest()  # verifying will find it


def _hash(entry: dict[str, Any]) -> str:
    canonical = json.dumps(entry, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()
