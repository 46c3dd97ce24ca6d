"""How often a node did something within the last day, in a small file that survives restarts."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from pydantic import Field, ValidationError

from fedseg.config import Section
from fedseg.errors import PublicError, first_line, without_remedy
from fedseg.files import DamagedFile, damaged_file, read_json, write_json
from fedseg.storage.audit import AUDIT
from fedseg.storage.locks import lock_file

QUOTA, LOCK = "quota.json", "quota.lock"
"""Files of a node's state folder."""
DAY = 86400.0
MOST_BYTES = 2**21
"""Size of the file; the largest limits that an owner can set need less."""

log = logging.getLogger("flwr")


def why_lost(path: Path, error: OSError | ValidationError | DamagedFile) -> str:
    """Describe why a state file can't be read."""
    if isinstance(error, DamagedFile):
        return without_remedy(error)  # removing it would not be one
    return f"{path}: {first_line(error)}"


class Uses(Section):
    """Content of the file."""

    uses: dict[str, dict[str, float]] = Field({})
    """When something was done, in seconds since 1970, by its kind and a key of its own."""
    lost: float = Field(0.0, ge=0, le=10**11)
    """When the file was last known to be whole, if what it held was lost."""


class DailyQuota:
    """Counts what a node does, for each kind within the last 24 hours.

    If the file can't be read, or is missing although the audit log is there, nothing tells what was
    done since. Then all is refused until a day after the last change of either file.

    Args:
        folder: the node's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / QUOTA
        self._lock, self._audit = folder / LOCK, folder / AUDIT

    def take(self, kind: str, most: int, key: str | None = None) -> str | None:
        """Count something, before it is done.

        Args:
            kind: of what is done.
            most: how often it may be done within a day.
            key: tells it from others of its kind; what is counted already is not counted again.
                Default: it is like nothing else.

        Returns:
            Its key; None where there is no room for it.

        Raises:
            PublicError: the file is lost.
        """
        key = key or token_hex(8)
        with self._open() as uses:
            known = uses.setdefault(kind, {})
            if key not in known and len(known) >= most:
                return None
            known.setdefault(key, time.time())
        return key

    def give_back(self, kind: str, key: str) -> None:
        """Count something no longer, as it was not done."""
        with self._open() as uses:
            uses.get(kind, {}).pop(key, None)

    def count(self, kind: str) -> int:
        """How often something was done within the last day; raises what `take` does."""
        content = self._read()
        self._refuse_lost(content)
        return len(content.uses.get(kind, {}))

    @contextmanager
    def _open(self) -> Iterator[dict[str, dict[str, float]]]:
        with lock_file(self._lock):
            content = self._read()
            if content.lost:
                write_json(self.path, content.model_dump())  # a line of the log changes its time
            self._refuse_lost(content)
            uses = {kind: dict(known) for kind, known in content.uses.items()}
            yield uses
            write_json(self.path, {"uses": uses})

    def _read(self) -> Uses:
        """What the file holds of the last day."""
        try:
            content = self._stored()
        except FileNotFoundError:
            return self._lost() if self._audit.exists() else Uses()
        except (OSError, ValidationError, DamagedFile) as error:
            log.warning("%s; write {} to it to begin anew", why_lost(self.path, error))
            return self._lost()
        since = time.time() - DAY
        if content.lost > since:
            return content
        recent = {
            kind: {key: when for key, when in known.items() if when > since}
            for kind, known in content.uses.items()
        }
        return Uses(uses=recent)

    def _stored(self) -> Uses:
        if self.path.stat().st_size > MOST_BYTES:
            raise damaged_file(self.path, "it is too large")
        return Uses.model_validate(read_json(self.path))

    def _lost(self) -> Uses:
        """Nothing was done after the last change of the files, or it would have changed them."""
        found = [path.stat().st_mtime for path in (self.path, self._audit) if path.exists()]
        when = min(max(found), time.time())
        return Uses(lost=when) if when > time.time() - DAY else Uses()

    def _refuse_lost(self, content: Uses) -> None:
        if content.lost:
            again = datetime.fromtimestamp(content.lost + DAY, UTC)
            raise PublicError(
                "its record of what it did within the last day was lost; it does nothing until "
                f"{again:%Y-%m-%d %H:%M} UTC, unless its owner resets {QUOTA}"
            )
