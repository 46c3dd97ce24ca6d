"""What a node did within a day: kept, forgotten after it, and never below the truth."""

import os
import threading
import time

import pytest

from fedseg.errors import PublicError
from fedseg.files import read_json
from fedseg.participants.quota import DAY, QUOTA, DailyQuota
from fedseg.storage.audit import AuditLog


@pytest.fixture
def folder(tmp_path):
    """A state folder of a node that has sent two scores."""
    quota = DailyQuota(tmp_path)
    assert all(quota.take("score", 2) for _ in range(2))
    AuditLog(tmp_path / "audit.jsonl").add("event")
    return tmp_path


NOW = time.time


def later(monkeypatch, seconds):
    monkeypatch.setattr(time, "time", lambda: NOW() + seconds)


def test_what_was_done_is_counted_over_restarts_and_for_a_day(folder, monkeypatch):
    assert DailyQuota(folder).take("score", 2) is None
    assert DailyQuota(folder).take("training", 1, "a")  # another kind
    assert DailyQuota(folder).take("training", 1, "a")  # the same one is counted once
    assert DailyQuota(folder).take("training", 1, "b") is None
    assert DailyQuota(folder).count("score") == 2
    later(monkeypatch, DAY + 1)
    assert DailyQuota(folder).count("score") == 0
    assert DailyQuota(folder).take("score", 2)
    assert len(read_json(folder / QUOTA)["uses"]["score"]) == 1  # what is older is not kept


def test_what_was_not_done_is_given_back(folder):
    key = DailyQuota(folder).take("score", 3)
    DailyQuota(folder).give_back("score", key)
    assert DailyQuota(folder).count("score") == 2


def test_a_clock_that_is_set_back_frees_nothing(folder, monkeypatch):
    later(monkeypatch, -30 * DAY)
    assert DailyQuota(folder).take("score", 2) is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'{"uses": []}',
        b'{"uses": {"score": {"a": "b"}}}',
        b'{"uses": {"score": {"a": NaN}}}',
        b'{"lost": 1e300}',
        b'{"lost": -5}',
        b'{"use": {}}',
        b"[" * 100_000,
        b'{"uses": {"score": {"' + b"a" * 3_000_000 + b'": 1}}}',
        b"\xff\xfe",
    ],
    ids=lambda content: repr(content)[:30],
)
def test_without_its_file_a_node_does_nothing_for_a_day(folder, content, monkeypatch):
    path = folder / QUOTA
    path.unlink() if content is None else path.write_bytes(content)
    for _ in range(2):
        AuditLog(folder / "audit.jsonl").add("refused")  # which does not put it off
        with pytest.raises(PublicError, match=r"was lost; it does nothing until 20.* UTC"):
            DailyQuota(folder).take("score", 2)
        with pytest.raises(PublicError, match="was lost"):
            DailyQuota(folder).count("score")
    later(monkeypatch, DAY + 60)
    assert DailyQuota(folder).take("score", 2)
    later(monkeypatch, DAY + 120)
    assert DailyQuota(folder).count("score") == 1


def test_an_owner_may_begin_anew(folder):
    (folder / QUOTA).write_text("{}")
    assert DailyQuota(folder).count("score") == 0


def test_files_that_were_not_changed_for_a_day_tell_of_nothing_within_it(folder):
    (folder / QUOTA).unlink()
    os.utime(folder / "audit.jsonl", (time.time() - DAY - 60,) * 2)
    assert DailyQuota(folder).take("score", 2)


def test_an_audit_log_that_was_changed_stops_nothing(folder):
    (folder / "audit.jsonl").write_bytes(b" " * 2**21 + b"\n")
    assert DailyQuota(folder).take("score", 3)


def test_threads_and_processes_share_it(tmp_path):
    taken = []

    def take():
        taken.append(DailyQuota(tmp_path).take("score", 5))

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(key is not None for key in taken) == 5
