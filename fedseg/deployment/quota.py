"""What nodes have pushed in the runs that go on, kept on disk."""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

QUOTA = "quota.db"
TABLE = """CREATE TABLE IF NOT EXISTS pushed (
    node_id INTEGER, run_id INTEGER, bytes INTEGER, PRIMARY KEY (node_id, run_id)
) WITHOUT ROWID"""


class UploadQuota:
    """Counts bytes by node and run. Its methods raise `sqlite3.OperationalError` on a full disk.

    Args:
        path: of the database.
        end_of_runs: returns which of some runs have ended; their counts are removed.
    """

    def __init__(self, path: Path, end_of_runs: Callable[[Iterable[int]], Iterable[int]]) -> None:
        self._end_of_runs = end_of_runs
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # no wait for the disk at each change
        self._database.execute(TABLE)

    def open(self, node_id: int, run_id: int) -> None:
        """Let a node push in a run. The caller has made sure that the run is one of the node's."""
        key = _signed(node_id), _signed(run_id)
        with self._lock:
            new = "INSERT INTO pushed VALUES (?, ?, 0) ON CONFLICT DO NOTHING RETURNING 1"
            if not self._database.execute(new, key).fetchall():
                return
            known = self._database.execute("SELECT DISTINCT run_id FROM pushed").fetchall()
            over = self._end_of_runs([run % 2**64 for (run,) in known])
            runs = [(_signed(run),) for run in over]
            self._database.executemany("DELETE FROM pushed WHERE run_id = ?", runs)

    def add(self, node_id: int, run_id: int, size: int) -> int | None:
        """Count bytes; returns how many it has been in the run, None if it was not opened."""
        add = "UPDATE pushed SET bytes = bytes + ? WHERE node_id = ? AND run_id = ? RETURNING bytes"
        with self._lock:
            rows = self._database.execute(add, (size, _signed(node_id), _signed(run_id))).fetchall()
        return int(rows[0][0]) if rows else None


def _signed(number: int) -> int:
    """Flower's 64-bit id as SQLite can hold it."""
    return number - 2**64 if number >= 2**63 else number
