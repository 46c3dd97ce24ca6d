"""The audit log: what is added is read back, and what was changed is found."""

import hashlib
import json
import multiprocessing

import pytest

from fedseg.errors import FedsegError
from fedseg.storage.audit import FIRST, LONGEST_LINE, ROOM, AuditLog, read_audit


@pytest.fixture
def log(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(4):
        log.add("upload accepted", client=f"client {number}", bytes=number)
    return log


def test_lines_are_read_back_in_order_and_chained(log):
    entries = list(read_audit(log.path))
    assert [entry["bytes"] for entry in entries] == [0, 1, 2, 3]
    assert entries[0]["previous"] == FIRST
    # The hash, worked out without fedseg.
    raw = json.loads(log.path.read_text().splitlines()[2])
    stated = raw.pop("hash")
    canonical = json.dumps(raw, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() == stated
    assert entries[3]["previous"] == stated


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"bytes": 0', '"bytes": 9'), *lines[1:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [lines[0], "{}", *lines[1:]],
        lambda lines: [lines[0], "[" * 5000, *lines[1:]],
        lambda lines: [lines[0], "\x00", *lines[1:]],
        lambda lines: [lines[0], "", *lines[1:]],
    ],
)
def test_a_line_that_was_changed_removed_or_added_is_found(log, change):
    log.path.write_text("\n".join(change(log.path.read_text().splitlines())) + "\n")
    with pytest.raises(FedsegError, match=r"line [123] is not the one that was written"):
        list(read_audit(log.path))


def test_a_changed_line_is_found_although_more_is_added(log):
    lines = log.path.read_text().splitlines()
    log.path.write_text("\n".join([*lines[:3], lines[3][:-5] + 'zzz"}']) + "\n")
    log.add("more")
    with pytest.raises(FedsegError, match="line 4"):
        list(read_audit(log.path))


def test_a_half_written_line_is_replaced(log):
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"time": "20')
    assert len(list(read_audit(log.path))) == 4
    log.add("more")
    assert [entry["event"] for entry in read_audit(log.path)][3:] == ["upload accepted", "more"]
    log.path.write_bytes(b'{"time"')
    log.add("first")
    assert [entry["event"] for entry in read_audit(log.path)] == ["first"]


def _add(path, number):
    for turn in range(20):
        AuditLog(path).add("event", process=number, turn=turn, text="x" * 3000)


def test_several_processes_add_to_one_log(tmp_path):
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add, args=(path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    entries = list(read_audit(path))
    for number in range(3):
        assert [e["turn"] for e in entries if e["process"] == number] == list(range(20))


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(FedsegError, match=r"audit\.jsonl: No such file"):
        list(read_audit(tmp_path / "audit.jsonl"))


def test_a_last_line_that_python_cannot_read_is_gone_on_after(log):
    """Adding to a log never fails; verifying it finds the line."""
    log.add("started")
    for line in (b"[" * 100_000, b"1" * 5000, b"[]"):
        with log.path.open("ab") as file:
            file.write(line + b"\n")
        log.add("more")
    with pytest.raises(FedsegError, match=r"line \d+ is not the one that was written"):
        list(read_audit(log.path))


BLANKS = " " * 2**21
"""What one request holds at most."""


@pytest.mark.parametrize(
    "details",
    [
        {"text": BLANKS},
        {"text": BLANKS, "name": "one"},
        {"first": BLANKS[: 2**17], "second": BLANKS[: 2**17], "name": "one"},
        {"numbers": list(range(100_000))},
        {"deep": {"text": ["\U0001f600" * 2**18]}},
        {"text": "\ud800" * 2**17, "half": "\udfff"},
        {f"key{n}": "x" * 1000 for n in range(2000)},
        {"text": "\n" * LONGEST_LINE},
    ],
)
def test_no_line_is_longer_than_readers_take(log, details):
    log.add("asked", **details)
    log.add("more")
    lines = log.path.read_bytes().splitlines(keepends=True)
    assert max(map(len, lines)) <= LONGEST_LINE
    *_, asked, more = read_audit(log.path)
    assert more["previous"] == asked["hash"] == json.loads(lines[-2])["hash"]
    assert asked.get("name") == details.get("name")


def test_what_is_left_out_of_a_line_is_known_by_its_hash(log):
    log.add("asked", info=BLANKS, name="one")
    *_, asked = read_audit(log.path)
    canonical = json.dumps(BLANKS).encode()
    assert asked["info"] == {
        "bytes": len(canonical),
        "sha256": hashlib.sha256(canonical).hexdigest(),
    }


def test_a_line_that_fits_is_kept_to_the_last_byte(log):
    log.add("asked", text="x" * (LONGEST_LINE - ROOM - 100))
    *_, asked = read_audit(log.path)
    assert len(asked["text"]) == LONGEST_LINE - ROOM - 100


def test_a_line_too_long_is_found_and_gone_on_after(log):
    """As a version without a limit wrote them; whole lines are never cut off."""
    before = log.path.read_bytes()
    for line in (b" " * 2**21, b'{"time": "' + b"x" * 2**21 + b'"}'):
        log.path.write_bytes(before + line + b"\n")
        log.add("more")
        assert log.path.read_bytes().startswith(before + line + b"\n")
        assert json.loads(log.path.read_bytes().splitlines()[-1])["event"] == "more"
        with pytest.raises(FedsegError, match="line 5 is not the one that was written"):
            list(read_audit(log.path))
    log.path.write_bytes(before + b" " * 2**21)  # without an end
    with pytest.raises(FedsegError, match="line 5 is not the one that was written"):
        list(read_audit(log.path))
    log.add("more")
    assert [entry["event"] for entry in read_audit(log.path)][4:] == ["more"]
